#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, nibabel 5.4.2, numpy 2.4.6; Python 3.11.
#
# Older public brain data are in Analyze 7.5 (.hdr and .img), the format before NIfTI. It has no affine; by its
# convention voxels run from right to left, from back to front and upwards. nibabel gives them that orientation.
# SimpleITK, which opens the pair with a remark that the format is deprecated and says nothing of orientation, gives
# them the identity of its own axes: from right to left, from front to back, upwards. So left and right agree and front
# and back are exchanged, which makes one image the mirror image of the other, not a turned one: once somebody turns the
# brain until the nose points forward, as viewers and registration do, the tumour is on the other side. Masks drawn over
# one reading and images of the other disagree, and a set that is partly NIfTI, which both read alike, is of two kinds.
# The header's field `orient`, which would name the orientation, changes neither reading.
#
# Seen, direction of the axes (right or left, anterior or posterior, superior): Analyze nibabel L A S, SimpleITK L P S
# (orient 0 and 3 alike); the same voxels as NIfTI with an affine of L A S: L A S in both.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet simpleitk==2.5.7 nibabel==5.4.2 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import nibabel as nib
import numpy as np
import SimpleITK as sitk

sitk.ProcessObject.GlobalWarningDisplayOff()  # a remark that the format is deprecated
voxels = np.zeros((4, 5, 6), np.int16)
voxels[1, 3, 4] = 7  # tells that the order of voxels is the same


def axes(file):
    """Direction in which each axis of the array leads, by nibabel and by SimpleITK."""
    by_nibabel, by_simpleitk = nib.load(file), sitk.ReadImage(file)
    assert np.array_equal(sitk.GetArrayFromImage(by_simpleitk).T, np.asarray(by_nibabel.dataobj).reshape(voxels.shape))
    step = np.reshape(by_simpleitk.GetDirection(), (3, 3)) * by_simpleitk.GetSpacing()
    affine = np.diag([-1.0, -1, 1, 1])  # SimpleITK's axes lead to the left and back, nibabel's to the right and forward
    affine[:3, :3] = affine[:3, :3] @ step
    found = "".join(nib.aff2axcodes(by_nibabel.affine)), "".join(nib.aff2axcodes(affine))
    print(f"{file}: nibabel {found[0]}, SimpleITK {found[1]}")
    return found


for orient in (0, 3):
    image = nib.AnalyzeImage(voxels, None)
    image.header.set_zooms((2, 2, 2))
    image.to_filename("brain.img")
    with open("brain.hdr", "r+b") as header:
        header.seek(252)  # orient: 0 transverse, 3 transverse and mirrored
        header.write(bytes([orient]))
    assert axes("brain.img") == ("LAS", "LPS"), orient
nib.save(nib.Nifti1Image(voxels, np.diag([-2.0, 2, 2, 1])), "brain.nii")
assert axes("brain.nii") == ("LAS", "LAS")
PYTHON
