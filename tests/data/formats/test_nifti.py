from pathlib import Path

import numpy as np
import pytest

from s4mi.data.files import read_frames, read_header
from s4mi.data.formats.frame import ImageError

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
