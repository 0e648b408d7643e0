"""NIfTI masks are on the voxel grid of their image, or refused."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from s4mi.data.checks.check import check_path
from s4mi.data.images import read_image
from s4mi.data.masks import read_mask
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.import_options import ImportOptions
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import ImportResult, write_import
from s4mi.errors import S4miError

nibabel = pytest.importorskip("nibabel", reason="nibabel is in the extra `nifti`")

SHAPE = (6, 7, 5)
GRID = np.array([[-0.5, 0, 0, 10], [0, -0.75, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])
STORED_ORDERS = [
    np.array(list(zip(order, signs, strict=True)))
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]  # fmt: skip


def lesion() -> NDArray[np.uint8]:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[1:3, 4:6, 2:4] = 1
    return mask


def write(
    folder: Path, mask: NDArray[np.uint8], affine: NDArray[np.float64], *, grid: NDArray[np.float64] = GRID
) -> Path:
    """An image that is bright where `lesion` is, and a mask."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(lesion() * np.uint8(200), grid), folder / "images" / "a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(mask, affine), folder / "masks" / "a.nii.gz")
    return folder


def imported(source: Path, out: Path, *, image_affine: bool = False) -> ImportResult:
    return write_import(
        read_folder(source), out, naming=DatasetNaming("x"), options=ImportOptions(image_affine=image_affine)
    )  # fmt: skip


def assert_masks_cover_the_lesion(written: ImportResult) -> None:
    assert len(written.rows) == SHAPE[2]
    for row in written.rows:
        assert row.mask is not None
        bright = read_image(row.image)[:, :, 0] > 0
        np.testing.assert_array_equal(read_mask(row.mask, written.spec.mask_values), bright)


def assert_same_masks(one: ImportResult, other: ImportResult) -> None:
    for row, expected in zip(one.rows, other.rows, strict=True):
        assert row.mask is not None
        assert expected.mask is not None
        values, wanted = one.spec.mask_values, other.spec.mask_values
        np.testing.assert_array_equal(read_mask(row.mask, values), read_mask(expected.mask, wanted))


def test_a_mask_with_another_affine_is_refused_naming_both_and_the_option(tmp_path: Path) -> None:
    source = write(tmp_path / "in", lesion(), np.eye(4), grid=np.diag([-1.0, -1, 2, 1]))
    with pytest.raises(S4miError) as caught:
        imported(source, tmp_path / "out")
    message = str(caught.value)
    assert "mask 'a.nii.gz' has the affine [1, 0, 0, 0; 0, 1, 0, 0; 0, 0, 1, 0]" in message
    assert "differs in spacing and origin" in message
    assert "[-1, 0, 0, 0; 0, -1, 0, 0; 0, 0, 2, 0]" in message
    assert "--image-affine" in message
    assert "\n" not in message
    assert not (tmp_path / "out" / "manifest.csv").exists()
    (report,) = check_path(source)
    assert [finding.severity for finding in report.findings if finding.code == "mask-affine"] == ["error"]


def test_the_affine_of_the_image_aligns_the_mask(tmp_path: Path) -> None:
    source = write(tmp_path / "in", lesion(), np.eye(4))
    written = imported(source, tmp_path / "out", image_affine=True)
    assert_masks_cover_the_lesion(written)
    assert "NIfTI masks read with the affine of their image" in written.spec.conversion


def test_the_affine_of_the_image_needs_its_shape(tmp_path: Path) -> None:
    source = write(tmp_path / "in", np.ascontiguousarray(lesion().transpose(1, 0, 2)), np.eye(4))
    with pytest.raises(S4miError, match="stored as 7×6×5 voxels, its image as 6×7×5"):
        imported(source, tmp_path / "out", image_affine=True)


@pytest.mark.parametrize(
    "order", STORED_ORDERS, ids=lambda order: "".join(f"{a}{'+' if s > 0 else '-'}" for a, s in order)
)
def test_the_same_grid_stored_in_any_order_fits(tmp_path: Path, order: NDArray[np.int64]) -> None:
    mask = nibabel.Nifti1Image(lesion(), GRID).as_reoriented(order)
    source = write(tmp_path / "in", np.asarray(mask.dataobj), mask.affine)
    assert_masks_cover_the_lesion(imported(source, tmp_path / "out"))


def moved(entry: tuple[int, int], by: float) -> NDArray[np.float64]:
    affine = GRID.copy()
    affine[entry] += by
    return affine


@pytest.mark.parametrize(
    ("affine", "what"),
    [
        (moved((0, 3), 0.0004), None), (moved((2, 2), 0.001), None), (moved((0, 1), 5e-4), None),
        (moved((0, 3), 0.25), "origin"), (moved((2, 3), 2.5), "origin"), (moved((2, 2), 0.1), "spacing"),
        (moved((1, 1), -0.01), "spacing"), (moved((0, 1), 0.05), "axes"), (moved((1, 2), -0.1), "axes"),
    ],
)  # fmt: skip
def test_axes_origin_and_spacing_may_differ_by_rounding_alone(
    tmp_path: Path, affine: NDArray[np.float64], what: str | None
) -> None:
    source = write(tmp_path / "in", lesion(), affine)
    if what is None:
        assert_masks_cover_the_lesion(imported(source, tmp_path / "out"))
        return
    with pytest.raises(S4miError, match=f"differs in .*{what}"):
        imported(source, tmp_path / "out")


def test_further_masks_of_a_volume_are_united(tmp_path: Path) -> None:
    folder = write(tmp_path / "source", lesion(), GRID)
    image = nibabel.load(folder / "masks" / "a.nii.gz")
    first = np.asarray(image.dataobj)
    moved = np.roll(first, 3, axis=0)
    nibabel.save(nibabel.Nifti1Image(moved, image.affine), folder / "masks" / "a_1.nii.gz")
    union = np.maximum(first, moved)
    one, both = imported(folder, tmp_path / "out"), tmp_path / "alone" / "masks" / "a.nii.gz"
    alone = write(tmp_path / "alone", lesion(), GRID)
    nibabel.save(nibabel.Nifti1Image(union, image.affine), both)
    other = imported(alone, tmp_path / "other")
    assert union.sum() > first.sum()
    assert_same_masks(one, other)


def test_a_further_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "source", lesion(), GRID)
    image = nibabel.load(folder / "masks" / "a.nii.gz")
    shifted = image.affine.copy()
    shifted[0, 3] += 5
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj), shifted), folder / "masks" / "a_1.nii.gz")
    with pytest.raises(S4miError, match=r"'a_1\.nii\.gz'"):
        imported(folder, tmp_path / "out")
