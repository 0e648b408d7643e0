"""Pixel spacing is read only from formats that store it reliably."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from dicom_files import write_dicom
from s4mi.data.spacing import pixel_spacing


@pytest.mark.parametrize("axes", ["RAS", "LPI", "PSR"])
def test_the_spacing_of_a_volume_is_that_of_its_slices(tmp_path: Path, axes: str) -> None:
    size = {"R": 0.5, "L": 0.5, "A": 2.0, "P": 2.0, "S": 7.0, "I": 7.0}
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, axis in enumerate(axes):
        row = "LPI".find(axis) if axis in "LPI" else "RAS".find(axis)
        affine[row, column] = size[axis] * (1 if axis in "RAS" else -1)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), affine), tmp_path / "a.nii.gz")
    assert pixel_spacing(tmp_path / "a.nii.gz") == pytest.approx((2.0, 0.5))


def test_the_spacing_of_dicom_is_its_pixel_spacing(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    write_dicom(path, np.zeros((6, 5), np.uint16), PixelSpacing=[0.7, 0.3])
    assert pixel_spacing(path) == (0.7, 0.3)


def test_the_spacing_of_microscope_tiffs_is_converted(tmp_path: Path) -> None:
    pixels = np.zeros((6, 5), np.uint8)
    tifffile.imwrite(tmp_path / "j.tif", pixels, imagej=True, resolution=(4, 2), metadata={"unit": "um"})
    assert pixel_spacing(tmp_path / "j.tif") == pytest.approx((5e-4, 2.5e-4))
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(tmp_path / "o.ome.tif", pixels, metadata={"axes": "YX", **sizes})
    assert pixel_spacing(tmp_path / "o.ome.tif") == pytest.approx((5e-4, 2.5e-4))


def test_printing_resolution_and_broken_files_have_no_spacing(tmp_path: Path) -> None:
    Image.new("L", (5, 6)).save(tmp_path / "a.png", dpi=(300, 300))
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((6, 5), np.uint8), resolution=(300, 300), resolutionunit="INCH")
    (tmp_path / "broken.dcm").write_bytes(b"no image")
    for name in ("a.png", "plain.tif", "broken.dcm", "missing.nii"):
        assert pixel_spacing(tmp_path / name) is None
