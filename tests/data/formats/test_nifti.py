from pathlib import Path

import numpy as np
import pytest

from s4mi.data.files import read_frames, read_header
from s4mi.data.formats.frame import ImageError
from s4mi.data.mask_grid import affine_problem
from s4mi.data.spacing import pixel_spacing
from s4mi.inference.writers.mask_files import write_nifti_mask

nibabel = pytest.importorskip("nibabel", reason="nibabel is in the extra `nifti`")


def volume(shape: tuple[int, ...] = (5, 6, 4)) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_slices_are_the_third_axis_turned_upright(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    nibabel.save(nibabel.Nifti1Image(volume(), np.eye(4)), path)
    header = read_header(path)
    assert (header.frames, header.height, header.width, header.channels) == (4, 6, 5, 1)
    for number, frame in enumerate(read_frames(path)):
        assert np.array_equal(frame.values, np.fliplr(np.rot90(volume()[:, :, number])))


def test_a_volume_stored_the_other_way_round_shows_the_same(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(volume(), np.eye(4)), tmp_path / "a.nii")
    flipped = np.diag([-1.0, -1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(volume()[::-1, ::-1], flipped), tmp_path / "b.nii")
    pairs = zip(read_frames(tmp_path / "a.nii"), read_frames(tmp_path / "b.nii"), strict=True)
    assert all(np.array_equal(a.values, b.values) for a, b in pairs)


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(volume(), np.eye(4))
    image.header.set_slope_inter(2, -7)
    nibabel.save(image, tmp_path / "a.nii")
    expected = nibabel.load(tmp_path / "a.nii").get_fdata()
    for number, frame in enumerate(read_frames(tmp_path / "a.nii")):
        assert np.allclose(frame.values, np.fliplr(np.rot90(expected[:, :, number])))


def test_two_dimensions_are_one_frame_and_four_are_refused(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(volume((5, 6)), np.eye(4)), tmp_path / "flat.nii")
    nibabel.save(nibabel.Nifti1Image(volume((2, 2, 2, 3)), np.eye(4)), tmp_path / "time.nii")
    assert read_header(tmp_path / "flat.nii").frames == 1
    assert np.array_equal(next(read_frames(tmp_path / "flat.nii")).values, np.fliplr(np.rot90(volume((5, 6)))))
    with pytest.raises(ImageError, match=r"4 dimensions \(2×2×2×3\)"):
        read_header(tmp_path / "time.nii")


def test_colours_stay_colours(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 2, 3), dtype=np.uint8)
    structured = rgb.copy().view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nibabel.save(nibabel.Nifti1Image(structured, np.eye(4)), tmp_path / "a.nii")
    assert read_header(tmp_path / "a.nii").channels == 3
    for number, frame in enumerate(read_frames(tmp_path / "a.nii")):
        assert np.array_equal(frame.values, np.fliplr(np.rot90(rgb[:, :, number])))


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"no volume" * 100)
    with pytest.raises(ImageError, match="is not a NIfTI file"):
        read_header(tmp_path / "a.nii")


LAST = {0: [[2, 1], [0, -1], [1, -1]], 1: [[0, -1], [2, 1], [1, 1]]}
"""How a scanner stores a single sagittal (0) or coronal (1) slice: with its thickness last, and in other directions."""


def single_slice(path: Path, axis: int, *, reordered: bool, origin: float = 0) -> np.ndarray:
    """Write a volume of one slice; return its pixels towards anterior or right, and superior."""
    shape = [5, 6, 4]
    shape[axis] = 1
    affine = np.diag([2.0, 3, 7, 1])
    affine[2, 3] = origin
    image = nibabel.Nifti1Image(volume(tuple(shape)), affine)
    nibabel.save(image.as_reoriented(np.array(LAST[axis])) if reordered else image, path)
    return np.asarray(volume(tuple(shape)).take(0, axis=axis))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reordered", [False, True])
def test_a_single_sagittal_or_coronal_slice_is_one_upright_image(tmp_path: Path, axis: int, reordered: bool) -> None:
    pixels = single_slice(tmp_path / "a.nii", axis, reordered=reordered)
    header = read_header(tmp_path / "a.nii")
    assert (header.frames, header.height, header.width) == (1, pixels.shape[1], pixels.shape[0])
    (frame,) = read_frames(tmp_path / "a.nii")
    assert np.array_equal(frame.values, pixels.T[::-1, ::-1])
    assert pixel_spacing(tmp_path / "a.nii") == (7, 3 if axis == 0 else 2)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_single_slice_fits_its_image_in_any_order_but_not_elsewhere(tmp_path: Path, axis: int) -> None:
    for name, origin in (("image", 0), ("mask", 0), ("moved", 7)):
        single_slice(tmp_path / f"{name}.nii", axis, reordered=name == "image", origin=origin)
    assert affine_problem(tmp_path / "image.nii", tmp_path / "mask.nii") is None
    assert "origin" in str(affine_problem(tmp_path / "image.nii", tmp_path / "moved.nii"))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_mask_of_a_single_slice_is_written_in_the_order_of_its_image(tmp_path: Path, axis: int) -> None:
    single_slice(tmp_path / "a.nii", axis, reordered=True)
    (frame,) = read_frames(tmp_path / "a.nii")
    write_nifti_mask(tmp_path / "b.nii", frame.values.astype(np.uint8)[None], tmp_path / "a.nii")
    image, mask = (nibabel.load(tmp_path / name) for name in ("a.nii", "b.nii"))
    assert np.array_equal(np.asarray(mask.dataobj), np.asarray(image.dataobj))
    assert np.allclose(mask.affine, image.affine)
