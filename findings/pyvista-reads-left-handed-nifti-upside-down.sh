#!/usr/bin/env bash
# Packages: pyvista 0.49.1, vtk 9.7.2, nibabel 5.4.2, numpy 2.2.6; Python 3.11.
#
# `pyvista.read` opens NIfTI with VTK's reader, for surfaces, slices and figures of masks. That it leaves out the
# affine (the grid starts at 0 and runs along its own axes) shows at once. What one then relies on is the array: the
# voxels of the file in its order. If the axes of the file are left-handed (L A S, as FSL and most converters from
# DICOM write them) the array is turned upside down, the last slice first, while right and left stay as stored; for
# right-handed axes (R A S, L P S) it is not. So a mask written as R A S and the image it was drawn on, equal in
# nibabel after reorientation, are mirrored in height, and the two kinds of file in one set have heads and feet
# exchanged. In addition the values are those stored: slope and intercept are not applied, so air of a CT with an
# intercept of −1024 is 0.
#
# Seen, stored 0 1 2 3 4 5 in the slices, slope 2, intercept −1024, by axes:
#   R A S, L P S    pyvista 0 1 2 3 4 5    nibabel −1024 −1022 −1020 −1018 −1016 −1014
#   L A S, R A I    pyvista 5 4 3 2 1 0    nibabel the same
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet pyvista==0.49.1 vtk==9.7.2 nibabel==5.4.2 numpy==2.2.6
cat > "$work/axes.py" <<'PYTHON'
import nibabel
import numpy as np
import pyvista

SHAPE = (4, 5, 6)
voxels = np.broadcast_to(np.arange(6, dtype=np.int16), SHAPE)
for axes, signs in (("RAS", (1, 1, 1)), ("LPS", (-1, -1, 1)), ("LAS", (-1, 1, 1)), ("RAI", (1, 1, -1))):
    affine = np.diag([*(2 * np.array(signs)), 1.0])
    affine[:3, 3] = 10, 20, 30
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_slope_inter(2, -1024)
    image.set_qform(affine, 1)
    nibabel.save(image, "image.nii")
    grid = pyvista.read("image.nii")
    read = grid.active_scalars.reshape(SHAPE, order="F")
    values = nibabel.load("image.nii").get_fdata()
    print(f"{axes}: pyvista {read[0, 0].tolist()} from {grid.origin}, nibabel {values[0, 0].tolist()}")
    assert "".join(nibabel.aff2axcodes(affine)) == axes
    assert values[0, 0].tolist() == [-1024, -1022, -1020, -1018, -1016, -1014]
    expected = voxels if axes in ("RAS", "LPS") else voxels[:, :, ::-1]
    assert np.array_equal(read, expected)
    assert grid.origin == (0, 0, 0)
    assert np.array_equal(grid.direction_matrix, np.eye(3))
PYTHON
cd "$work"
"$work/venv/bin/python" "$work/axes.py"
