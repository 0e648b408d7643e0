#!/usr/bin/env bash
# Packages: torchio 1.2.1, torch 2.15.0, numpy 2.4.6; Python 3.11, CPU.
#
# TorchIO's RandomAnisotropy imitates thick slices: along one axis the image is made coarser and interpolated back to
# its grid; masks stay as they are. One takes it that the blur is symmetrical. For factors of 2, 3 and 4 the coarse
# image is put back half a voxel of the fine grid lower than it was, though origin and spacing of image and mask say the
# same afterwards. So each augmented image teaches a network a shift of half a voxel against its mask, in one direction
# for all images.
#
# Seen: a ball in the middle of 64³ voxels, image and mask alike. Centre of the image minus that of the mask along the
# axis, in voxels: −0.50 for factor 2, −0.53 for 3, −0.47 for 4; along the other axes 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet torchio==1.2.1 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import numpy as np
import torch
import torchio

grid = np.mgrid[:64, :64, :64] - 31.5
ball = torch.from_numpy(((grid**2).sum(axis=0) < 16**2).astype(np.float32))[None]


def centre(volume):
    weights = volume.numpy()[0]
    return (grid * weights).sum(axis=(1, 2, 3)) / weights.sum()


for factor in (2, 3, 4):
    subject = torchio.Subject(image=torchio.ScalarImage(tensor=ball), mask=torchio.LabelMap(tensor=ball.clone()))
    result = torchio.RandomAnisotropy(axes=(0,), downsampling=(factor, factor))(subject)
    moved = centre(result.image) - centre(result.mask)
    print(f"factor {factor}: image minus mask {moved.round(2)} voxels")
    assert np.array_equal(result.image.affine, result.mask.affine)
    assert torch.equal(result.mask.data, ball)
    assert -0.6 < moved[0] < -0.4, moved
    assert np.abs(moved[1:]).max() < 0.01, moved
PYTHON
