#!/usr/bin/env bash
# Packages: monai 1.6.1, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# MONAI's ArrayDataset takes a transform for images and one for masks, and "ensures the same random seeds" in both, so
# one writes the same rotation and flip into both and adds noise or contrast to that of the images alone. The same seed
# is handed to the two `Compose`, and each deals seeds of its own out to its random transforms, in their order. A random
# transform of intensity in front of the rotation takes the seed that the rotation has in the other, and image and mask
# are turned independently; behind the rotation it does no harm. A third of the pairs still fit by chance with turns of
# 90, 180 and 270 degrees, and with small angles all look plausible. Shapes fit, nothing warns. Transforms by key
# (RandRotate90d) of a dictionary with image and mask turn both alike.
#
# Seen, an image equal to its mask, 300 draws; share of pairs that are still equal afterwards (image at 0.5):
#   RandRotate90 in both                                  1.00
#   the same, noise of the image after it                 1.00
#   the same, noise of the image before it                0.30
#   the same, scaling (nothing random) before it          1.00
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet monai==1.6.1 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from monai.data import ArrayDataset
from monai.transforms import Compose, RandGaussianNoise, RandRotate90, ScaleIntensity

mask = torch.zeros(1, 8, 8)
mask[0, :3] = 1


def turn():
    return RandRotate90(prob=1)


def noise():
    return RandGaussianNoise(prob=1, std=0.01)


def agreement(*image_steps):
    """Share of the pairs in which image and mask still agree."""
    data = ArrayDataset([mask], Compose(image_steps), [mask], Compose([turn()]))
    data.set_random_state(0)
    pairs = (data[0] for _ in range(300))
    return sum(bool(((image > 0.5) == (turned > 0.5)).all()) for image, turned in pairs) / 300


shares = {
    "rotation": agreement(turn()),
    "rotation, noise": agreement(turn(), noise()),
    "noise, rotation": agreement(noise(), turn()),
    "scaling, rotation": agreement(ScaleIntensity(), turn()),
}
print(shares)
assert all(share == (1 if name != "noise, rotation" else share) for name, share in shares.items())
assert 0.2 < shares["noise, rotation"] < 0.5
PYTHON
