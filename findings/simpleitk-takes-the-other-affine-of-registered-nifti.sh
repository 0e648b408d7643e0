#!/usr/bin/env bash
# Packages: nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.2.6; Python 3.11.
#
# A NIfTI file has two affines, qform and sform, each with a code for what it leads to: 1 the scanner, 2 another image
# it is aligned with, 4 a template. Registration usually writes the sform with code 2 or 4 and leaves the qform as the
# scanner wrote it, so the two differ. nibabel takes the sform whenever its code is not 0. SimpleITK takes the sform
# only if its code is 1, or if there is no qform; else it takes the qform, even where both have the same code. So masks
# drawn over one reading lie elsewhere in the other, as soon as an image was registered and never before: files from the
# scanner agree.
#
# Seen: position of the first voxel (right, anterior, superior in mm) by codes of sform and qform:
#   1 1  nibabel 10 20 30  SimpleITK 10 20 30      1 2  the same      1 0  the same
#   2 1  nibabel 10 20 30  SimpleITK -5  0  7      4 1  the same      2 2 and 4 4  the same
#   0 1  both -5 0 7
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import nibabel
import numpy as np
import SimpleITK

SFORM, QFORM = (10, 20, 30), (-5, 0, 7)


def affine(origin):
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    matrix[:3, 3] = origin
    return matrix


def positions(sform_code, qform_code):
    """Position of the first voxel in nibabel and in SimpleITK, both as (right, anterior, superior)."""
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), None)
    image.header.set_sform(affine(SFORM), sform_code)
    image.header.set_qform(affine(QFORM), qform_code)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), None, image.header), "image.nii")
    left, posterior, superior = SimpleITK.ReadImage("image.nii").GetOrigin()
    return tuple(nibabel.load("image.nii").affine[:3, 3].round().tolist()), (-left, -posterior, superior)


for codes in ((1, 1), (1, 2), (1, 0), (2, 1), (4, 1), (2, 2), (4, 4), (0, 1)):
    by_nibabel, by_simpleitk = positions(*codes)
    print("codes of sform and qform", codes, "nibabel", by_nibabel, "SimpleITK", by_simpleitk)
    assert by_nibabel == (SFORM if codes[0] else QFORM), codes
    assert by_simpleitk == (SFORM if codes[0] == 1 else QFORM), codes
PYTHON
