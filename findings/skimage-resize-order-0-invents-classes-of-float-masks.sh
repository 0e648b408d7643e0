#!/usr/bin/env bash
# Packages: scikit-image 0.26.0, nibabel 5.4.2, numpy 2.2.6; Python 3.11.
#
# `skimage.transform.resize(mask, shape, order=0)` is nearest-neighbour interpolation, which can only copy classes. For
# integers it is. For floating-point masks, as `get_fdata` of nibabel gives them, the same call first blurs the mask
# with a Gaussian when it makes it smaller, for antialiasing, and then picks neighbours from the blurred one. The result
# has values between the classes; rounded, a lesion of class 3 gets a rim of class 2, of which no image had a pixel.
# `anti_aliasing=False` or an integer type are the remedy.
#
# Seen: a mask of classes 0 and 3, 64 × 64 → 16 × 16: as integers 0 and 3; from get_fdata 37 values, rounded 0, 2 and 3;
# with anti_aliasing=False 0 and 3 again. Enlarging is exact.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet scikit-image==0.26.0 nibabel==5.4.2 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import nibabel
import numpy as np
from skimage.transform import resize

drawn = np.zeros((64, 64), dtype=np.uint8)
drawn[20:40, 20:40] = 3
nibabel.save(nibabel.Nifti1Image(drawn, np.eye(4)), "mask.nii")
read = nibabel.load("mask.nii")


def classes(mask, side, **options):
    small = resize(mask, (side, side), order=0, preserve_range=True, **options)
    print(mask.dtype, f"to {side} pixels", options, f"{len(np.unique(small))} values:", np.unique(small.round()).tolist())
    return np.unique(small), np.unique(small.round()).tolist()


integers = np.asarray(read.dataobj)
assert np.array_equal(integers, read.get_fdata())
assert classes(integers, 16)[0].tolist() == [0, 3]
assert classes(read.get_fdata(), 16, anti_aliasing=False)[0].tolist() == [0, 3]
assert classes(read.get_fdata(), 128)[0].tolist() == [0, 3]
values, rounded = classes(read.get_fdata(), 16)
assert len(values) > 10, values
assert rounded == [0, 2, 3], rounded
PYTHON
