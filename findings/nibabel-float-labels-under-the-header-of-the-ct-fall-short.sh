#!/usr/bin/env bash
# Packages: nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.2.6; Python 3.11.
#
# A mask is commonly saved with the affine and the header of its image: `nib.Nifti1Image(mask, ct.affine, ct.header)`.
# The header also brings the type on disk, 16-bit integers for CT. If the mask happens to be of floats (from get_fdata,
# scipy or a network), nibabel does not store the whole numbers that it holds: it stretches them over the 65 536 steps
# of 16 bits and writes a slope in single precision. Each class then reads as a number a little beside it, mostly below,
# and `astype(np.uint8)` cuts that down to the next lower class. Of a binary mask nothing is left in nibabel, while
# SimpleITK, which computes in single precision, still reads 1; with seven classes both lose some. Rounding before the
# cast restores every class, and so does a mask of integers, which is stored as it is.
#
# Seen, classes 0 to k; share of the foreground that is another class after `astype(np.uint8)`:
#   k            1     2     3     7     13    104
#   nibabel      1.00  0.50  1.00  0.57  0.54  0.50
#   SimpleITK    0.00  0.00  0.00  0.43  0.46  0.49
# (The 1 of a binary mask reads as 0.99999999977, that of seven classes as 0.99998.) Rounded, or saved as uint8: 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import nibabel as nib
import numpy as np
import SimpleITK

nib.save(nib.Nifti1Image(np.zeros((15, 14, 104), dtype=np.int16), np.eye(4)), "ct.nii.gz")
ct = nib.load("ct.nii.gz")


def lost(classes, dtype):
    mask = np.resize(np.arange(classes + 1), ct.shape).astype(dtype)
    nib.save(nib.Nifti1Image(mask, ct.affine, ct.header), "mask.nii.gz")
    by_nibabel = nib.load("mask.nii.gz").get_fdata()
    by_simpleitk = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage("mask.nii.gz")).T
    assert np.array_equal(np.round(by_nibabel), mask) and np.array_equal(np.round(by_simpleitk), mask)
    shares = [float((read.astype(np.uint8) != mask)[mask > 0].mean()) for read in (by_nibabel, by_simpleitk)]
    print(f"0 to {classes}, {np.dtype(dtype)}: lost in nibabel {shares[0]:.2f}, in SimpleITK {shares[1]:.2f};")
    print("    1 reads as", by_nibabel[mask == 1][0], by_simpleitk[mask == 1][0])
    return shares


for classes in (1, 2, 3, 7, 13, 104):
    assert lost(classes, np.uint8) == [0, 0]
    by_nibabel, by_simpleitk = lost(classes, np.float64)
    assert lost(classes, np.float32) == [by_nibabel, by_simpleitk]
    assert by_nibabel > 0.4 and (by_simpleitk > 0.4) == (classes >= 7)
    assert by_nibabel == 1 or classes != 1
PYTHON
