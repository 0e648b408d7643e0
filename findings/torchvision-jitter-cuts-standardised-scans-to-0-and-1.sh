#!/usr/bin/env bash
# Packages: torchvision 0.29.2, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# CT and MR become floating-point numbers of mean 0 and standard deviation 1 and are then augmented; brightness and
# contrast of a float tensor are a multiplication and a shift, as in MONAI, so order and range should not
# matter. torchvision takes every floating-point image for one of 0 to 1 and cuts the result down to that range:
# ColorJitter, RandomAdjustSharpness and GaussianNoise do so in any strength, silently. Half of a standardised scan
# becomes 0 and a sixth 1, and the network is trained on what is left and tested on whole scans. In a batch of
# which some images are jittered (RandomApply) two kinds of image are mixed. Blur leaves values as they are. Jitter
# before standardisation, or GaussianNoise(clip=False), is the remedy.
#
# Seen, a scan of mean 0 and standard deviation 1, augmented; share of pixels that are exactly 0 and exactly 1:
#   ColorJitter(brightness=0.01)         0.50   0.16
#   ColorJitter(contrast=0.01)           0.50   0.16
#   RandomAdjustSharpness(1.01, p=1)     0.50   0.16
#   GaussianNoise(sigma=0.01)            0.50   0.16
#   GaussianBlur(3), GaussianNoise(sigma=0.01, clip=False)   0.00   0.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchvision==0.29.2 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" -W error - <<'PYTHON'
import torch
from torchvision.transforms import v2

torch.manual_seed(0)
scan = torch.randn(1, 256, 256)
transforms = {
    "brightness": v2.ColorJitter(brightness=0.01),
    "contrast": v2.ColorJitter(contrast=0.01),
    "sharpness": v2.RandomAdjustSharpness(1.01, p=1),
    "noise": v2.GaussianNoise(sigma=0.01),
    "blur": v2.GaussianBlur(3),
    "noise, clip=False": v2.GaussianNoise(sigma=0.01, clip=False),
}
for name, transform in transforms.items():
    result = transform(scan)
    zeros, ones = ((result == value).float().mean().item() for value in (0, 1))
    print(f"{name}: {zeros:.2f} are 0, {ones:.2f} are 1, range {result.min():.2f} to {result.max():.2f}")
    if name in ("blur", "noise, clip=False"):
        assert zeros < 0.01 and ones < 0.01
    else:
        assert 0.45 < zeros < 0.55 and 0.13 < ones < 0.19
        assert result.min() == 0 and result.max() == 1
PYTHON
