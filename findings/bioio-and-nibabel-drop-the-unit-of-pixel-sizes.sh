#!/usr/bin/env bash
# Packages: nibabel 5.4.2, SimpleITK 2.5.7, bioio 3.6.0, bioio-ome-tiff 1.4.0, tifffile 2026.3.3, numpy 2.2.6; Python
# 3.11.
#
# Sizes of lesions and cells in mm² or ml are as good as the pixel size. Both NIfTI (`xyzt_units`) and OME-TIFF
# (`PhysicalSizeXUnit`) state the unit it is given in, and packages differ in whether they look. Of a NIfTI file in
# micrometres SimpleITK converts to mm, nibabel's zooms and affine keep the number: two readings of one file differ by
# 10³ in length and 10⁹ in volume. bioio returns the number of an OME-TIFF whatever its unit, and names no unit either
# (its `dimension_properties` have one, which is None), so three files of equal pixels have pixel sizes of 0.5, 500 and
# 0.0005.
#
# Seen: NIfTI in mm / µm: nibabel 2 / 2, SimpleITK 2 / 0.002. OME-TIFF of 0.5 µm, 500 nm, 0.0005 mm: 0.5, 500, 0.0005.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet nibabel==5.4.2 SimpleITK==2.5.7 bioio==3.6.0 bioio-ome-tiff==1.4.0 \
    tifffile==2026.3.3 numpy==2.2.6
cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import bioio_ome_tiff
import nibabel
import numpy as np
import SimpleITK
import tifffile
from bioio import BioImage

for unit, millimetres in (("mm", 2.0), ("micron", 0.002)):
    image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, "image.nii")
    by_nibabel, by_simpleitk = nibabel.load("image.nii").header.get_zooms(), SimpleITK.ReadImage("image.nii").GetSpacing()
    print(f"NIfTI in {unit}: nibabel {by_nibabel[0]}, SimpleITK {by_simpleitk[0]:.6g}")
    assert by_nibabel == (2, 2, 2)
    assert np.allclose(by_simpleitk, millimetres)

for unit, size in (("µm", 0.5), ("nm", 500.0), ("mm", 0.0005)):  # all the same
    sizes = {f"PhysicalSize{axis}": size for axis in "XY"} | {f"PhysicalSize{axis}Unit": unit for axis in "XY"}
    tifffile.imwrite("image.ome.tif", np.zeros((64, 64), np.uint8), metadata={"axes": "YX"} | sizes)
    with tifffile.TiffFile("image.ome.tif") as file:
        assert f'PhysicalSizeXUnit="{unit}"' in file.ome_metadata
    image = BioImage("image.ome.tif", reader=bioio_ome_tiff.Reader)
    print(f"OME-TIFF of {size} {unit}: bioio {image.physical_pixel_sizes.X}, unit {image.dimension_properties.X.unit}")
    assert image.physical_pixel_sizes.X == size
    assert image.dimension_properties.X.unit is None
PYTHON
