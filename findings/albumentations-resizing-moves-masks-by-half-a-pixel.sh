#!/usr/bin/env bash
# Packages: albumentations 2.0.8, opencv-python-headless 4.12.0.88, numpy 2.2.6; Python 3.11.
#
# albumentations transforms image and mask together, so one takes it that they stay on top of each other. Where it
# resizes (Resize, RandomResizedCrop, LongestMaxSize, RandomScale) they do not: images are interpolated between the
# centres of pixels, masks by OpenCV's INTER_NEAREST, which takes the upper left pixel of those that fall into one.
# Every mask is then too far to the lower right by up to half a pixel of the result, always in the same direction, and a
# network learns it with the rest. Transforms that warp (Affine, with the same factor) do not move it. A large organ
# hardly notices; a lesion of eight pixels loses a tenth of its Dice. `mask_interpolation=cv2.INTER_NEAREST_EXACT` is
# the remedy.
#
# Seen, 512 → 224 pixels, discs of 8, 16 and 130 pixels in the result: the mask lies 0.50, 0.43 and 0.48 pixels further
# down and right than the image, and the Dice of mask and thresholded image is 0.887, 0.952 and 0.993; with
# INTER_NEAREST_EXACT and with Affine at most 0.15 pixels, and Dice 0.960, 1.000 and 0.999.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet albumentations==2.0.8 opencv-python-headless==4.12.0.88 numpy==2.2.6
export NO_ALBUMENTATIONS_UPDATE=1
"$work/venv/bin/python" - <<'PYTHON'
import albumentations as A
import cv2
import numpy as np

SIDE, SMALL = 512, 224
rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2


def moved(transform, diameter):
    """How far the mask lies from the image, down and right in pixels of the result, and the Dice of the two."""
    radius = diameter / 2 * SIDE / SMALL
    disc = (rows**2 + columns**2 < radius**2).astype(np.uint8)
    result = A.Compose([transform], seed=0)(image=np.repeat(disc[..., None] * 255, 3, axis=2), mask=disc)
    image, mask = result["image"][..., 0] > 127, result["mask"] > 0
    down, right = np.argwhere(mask).mean(axis=0) - np.argwhere(image).mean(axis=0)
    return down, right, 2 * (image & mask).sum() / (image.sum() + mask.sum())


factor = SMALL / SIDE
resizing = {
    "Resize": A.Resize(SMALL, SMALL),
    "RandomResizedCrop": A.RandomResizedCrop((SMALL, SMALL), scale=(1, 1), ratio=(1, 1), p=1),
    "LongestMaxSize": A.LongestMaxSize(SMALL),
    "RandomScale": A.RandomScale((factor - 1, factor - 1), p=1),
}
others = {
    "Resize, INTER_NEAREST_EXACT": A.Resize(SMALL, SMALL, mask_interpolation=cv2.INTER_NEAREST_EXACT),
    "Affine": A.Affine(scale=factor, p=1),
}
for diameter in (8, 16, 130):
    for name, transform in (resizing | others).items():
        down, right, dice = moved(transform, diameter)
        print(f"{diameter:3} pixels, {name:27}: mask {down:5.2f} down, {right:5.2f} right, Dice {dice:.3f}")
        if name in resizing:
            assert 0.35 < down < 0.55 and 0.35 < right < 0.55, (name, down, right)
        else:
            assert abs(down) < 0.2 and abs(right) < 0.2, (name, down, right)
PYTHON
