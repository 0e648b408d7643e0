"""Axial slices: the patient's right at image left, anterior at the top, and the same pixels from DICOM and NIfTI."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from s4mi.data.files import read_frame, read_frames, read_header
from s4mi.data.images import read_image
from s4mi.data.masks import read_mask
from s4mi.data.row import Row
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import

nibabel = pytest.importorskip("nibabel", reason="nibabel is in the extra `nifti`")
pytest.importorskip("pydicom", reason="pydicom is in the extra `dicom`")
from dicom_files import write_dicom  # noqa: E402

SHAPE = (4, 10, 12)
AXIAL = [
    (*(np.eye(3)[first] * a), *(np.eye(3)[second] * b))
    for (first, second) in permutations(range(2))
    for a, b in product((1, -1), repeat=2)
]  # fmt: skip


def body() -> NDArray[np.int16]:
    """Slices (Z, rows to posterior, columns to left) from the feet upwards, without any symmetry."""
    return np.random.default_rng(0).integers(0, 2000, SHAPE).astype(np.int16)


def stored(pixels: NDArray[np.int16], cosines: tuple[float, ...]) -> NDArray[np.int16]:
    """The slice (posterior, left) as a scanner stores it whose rows and columns run along `cosines` (LPS)."""
    along_row, along_column = np.array(cosines[:3]), np.array(cosines[3:])
    turned = pixels if along_row[0] else pixels.T
    if along_column.sum() < 0:
        turned = turned[::-1]
    return np.ascontiguousarray(turned[:, ::-1] if along_row.sum() < 0 else turned)


def write_series(folder: Path, cosines: tuple[float, ...]) -> Path:
    folder.mkdir(parents=True)
    for number, pixels in enumerate(body()):
        write_dicom(
            folder / f"{number}.dcm", stored(pixels, cosines), ImageOrientationPatient=list(map(float, cosines)),
            ImagePositionPatient=[0, 0, number], SeriesInstanceUID="1.2.3", RescaleSlope=1, RescaleIntercept=-1024,
        )  # fmt: skip
    return folder


def write_volume(path: Path, order: NDArray[np.int64] | None = None) -> Path:
    """The volume as dcm2niix writes it: columns to left, rows to anterior (flipped), slices upwards; or reordered."""
    array = np.ascontiguousarray(body().transpose(2, 1, 0)[:, ::-1] - 1024)
    image = nibabel.Nifti1Image(array, np.diag([-1.0, 1, 1, 1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image if order is None else image.as_reoriented(order), path)
    return path


def imported(source: Path, out: Path) -> list[NDArray[np.uint8]]:
    rows = write_import(read_folder(source), out, naming=DatasetNaming("x")).rows
    return [read_image(row.image) for row in sorted(rows, key=lambda row: row.id)]


@pytest.mark.parametrize("cosines", AXIAL, ids=str)
def test_one_series_is_the_same_pixels_as_dicom_and_as_nifti(tmp_path: Path, cosines: tuple[float, ...]) -> None:
    write_volume(tmp_path / "nifti" / "v.nii.gz")
    from_dicom = imported(write_series(tmp_path / "dicom", cosines), tmp_path / "a")
    from_nifti = imported(tmp_path / "nifti", tmp_path / "b")
    np.testing.assert_array_equal(np.stack(from_dicom), np.stack(from_nifti))


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_a_volume_in_any_order_has_right_at_the_left_and_anterior_at_the_top(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    for signs in product((1, -1), repeat=3):
        path = write_volume(tmp_path / "v.nii", np.array(list(zip(order, signs, strict=True))))
        assert (read_header(path).height, read_header(path).width) == SHAPE[1:]
        for frame, pixels in zip(read_frames(path), body(), strict=True):
            np.testing.assert_array_equal(frame.values, pixels - 1024)


@pytest.mark.parametrize("cosines", AXIAL, ids=str)
def test_a_flat_nifti_is_turned_by_its_affine(tmp_path: Path, cosines: tuple[float, ...]) -> None:
    array = stored(body()[0], cosines).T  # columns first
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = np.array(cosines[:3]) * [-1, -1, 1], np.array(cosines[3:]) * [-1, -1, 1]
    nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "a.nii")
    np.testing.assert_array_equal(read_frame(tmp_path / "a.nii").values, body()[0])
    assert (read_header(tmp_path / "a.nii").height, read_header(tmp_path / "a.nii").width) == SHAPE[1:]


@pytest.mark.parametrize("cosines", [(0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1), (0, -1, 0, 0, 0, 1), None], ids=str)
def test_sagittal_and_coronal_images_and_those_without_orientation_stay_as_stored(
    tmp_path: Path, cosines: tuple[float, ...] | None
) -> None:
    more = {} if cosines is None else {"ImageOrientationPatient": list(cosines)}
    path = write_dicom(tmp_path / "a.dcm", body()[0], **more)
    np.testing.assert_array_equal(read_frame(path).values, body()[0])


@pytest.mark.parametrize("cosines", AXIAL, ids=str)
def test_a_mask_without_orientation_is_turned_with_its_dicom_image(tmp_path: Path, cosines: tuple[float, ...]) -> None:
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "masks").mkdir()
    pixels = np.where(body()[0] > 1000, 255, 0).astype(np.uint8)
    as_stored = stored(pixels, cosines)
    write_dicom(
        tmp_path / "in/images/a.dcm", as_stored, ImageOrientationPatient=list(map(float, cosines))
    )  # fmt: skip
    Image.fromarray(as_stored).save(tmp_path / "in/masks/a.png")
    written = write_import(read_folder(tmp_path / "in"), tmp_path / "out", naming=DatasetNaming("x"))
    (row,) = written.rows
    assert isinstance(row, Row)
    assert row.mask is not None
    np.testing.assert_array_equal(read_image(row.image)[:, :, 0], pixels)
    np.testing.assert_array_equal(read_mask(row.mask, written.spec.mask_values), pixels // 255)
