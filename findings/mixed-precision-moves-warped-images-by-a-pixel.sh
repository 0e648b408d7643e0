#!/usr/bin/env bash
# Packages: kornia 0.9.0, monai 1.6.1, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# In mixed precision (autocast) sums, losses and `grid_sample` stay in float32, so one takes warps for safe: what comes
# out is float32. The positions that go in are not. They are the product of a matrix with the coordinates of the pixels,
# autocast computes products in bfloat16, and that has 8 bits: from 256 on a coordinate is even, from 512 on a multiple
# of 4. Random rotations and translations of kornia on the accelerator, MONAI's AffineTransform (spatial transformers,
# affine registration) and `affine_grid` then take whole blocks of pixels from beside their place. The image keeps its
# sharpness and range. Images, masks and landmarks are moved by different amounts, small objects change their size.
# With float16 it is a tenth of that or less. `torch.autocast(device, enabled=False)` around the warp is the remedy.
#
# Seen, a square of 17 × 17 pixels in an image of size × size, moved by (5, 3): how far beside its place, in pixels:
#   size                     256     512    1024
#   float32, all            0.00    0.00    0.00
#   kornia warp_affine      0.01    1.41    1.41
#   MONAI AffineTransform   0.76    1.70    0.95
#   affine_grid             0.00    0.04    0.55
# kornia's RandomAffine of 512 × 512, image against its landmark: 0.00 in float32, 0.61 under autocast.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet kornia==0.9.0 monai==1.6.1 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from kornia.augmentation import AugmentationSequential, RandomAffine
from kornia.geometry.transform import warp_affine
from monai.networks.layers import AffineTransform
from torch.nn.functional import affine_grid, grid_sample

RIGHT, DOWN = 5, 3
SIZES = (256, 512, 1024)


def square(size):
    """Image of a square, and its centre (column, row)."""
    x, y = int(0.8 * size), size // 5
    image = torch.zeros(1, 1, size, size)
    image[0, 0, y - 8 : y + 9, x - 8 : x + 9] = 1
    return image, torch.tensor([x, y], dtype=torch.float64)


def centre(image):
    weights = image[0, 0].double() / image.double().sum()
    places = torch.arange(len(weights), dtype=torch.float64)
    return torch.stack([(weights.sum(0) * places).sum(), (weights.sum(1) * places).sum()])


def by_kornia(image):
    return warp_affine(image, torch.tensor([[[1.0, 0, RIGHT], [0, 1, DOWN]]]), image.shape[-2:])


def by_monai(image):
    layer = AffineTransform(normalized=False, align_corners=True)
    return layer(image, torch.tensor([[[1.0, 0, -DOWN], [0, 1, -RIGHT], [0, 0, 1]]]))


def by_torch(image):
    size = image.shape[-1]
    grid = affine_grid(
        torch.tensor([[[1, 0, -2 * RIGHT / size], [0, 1, -2 * DOWN / size]]]), image.shape, align_corners=False
    )
    return grid_sample(image, grid, align_corners=False)


def off(warp, size, kind):
    image, place = square(size)
    with torch.autocast("cpu", dtype=kind or torch.bfloat16, enabled=kind is not None):
        moved = warp(image)
    assert moved.dtype == torch.float32
    return float(torch.dist(centre(moved), place + torch.tensor([RIGHT, DOWN])))


for name, warp, least in (("kornia", by_kornia, 1), ("MONAI", by_monai, 0.5), ("affine_grid", by_torch, 0.3)):
    kinds = (None, torch.float16, torch.bfloat16)
    errors = {kind: [round(off(warp, size, kind), 2) for size in SIZES] for kind in kinds}
    print(name, errors)
    assert max(errors[None]) <= 0.01 and max(errors[torch.float16]) < 0.2
    assert errors[torch.bfloat16][2] > least

image, place = square(512)
distances = []
for mixed in (False, True):
    torch.manual_seed(0)
    steps = AugmentationSequential(RandomAffine(20, translate=(0.1, 0.1), p=1), data_keys=["input", "keypoints"])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        moved, landmark = steps(image, place.float()[None, None])
    distances.append(float(torch.dist(centre(moved), landmark[0, 0].double())))
print("image against its landmark, float32 and mixed", [round(value, 2) for value in distances])
assert distances[0] < 0.05 and distances[1] > 0.2
PYTHON
