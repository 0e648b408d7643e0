"""Pages and slices are read as an import would write them."""

from pathlib import Path

import nibabel
import numpy as np
import tifffile

from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.sources.folder import read_folder
from s4mi.data.sources.types import DatasetNaming
from s4mi.data.sources.write import write_import
from s4mi.data.volumes import read_rgb_frames


def test_slices_of_a_volume_have_one_pair_of_limits(tmp_path: Path) -> None:
    volume = np.arange(4 * 8 * 8, dtype=np.int16).reshape(8, 8, 4) * 50
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")
    frames = read_rgb_frames(tmp_path / "v.nii.gz", Intensity("percentiles", 0, 100))
    assert len(frames) == 4
    shown = np.stack([np.rot90(np.fliplr(frame[:, :, 0]), -1) for frame in frames], axis=2)
    np.testing.assert_allclose(shown, 255 * (volume / volume.max()), atol=0.51)


def test_a_file_of_one_frame_is_read_like_any_other(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.arange(48, dtype=np.uint16).reshape(6, 8) * 900)
    rule = Intensity()
    (frame,) = read_rgb_frames(tmp_path / "a.tif", rule)
    np.testing.assert_array_equal(frame, read_image(tmp_path / "a.tif", rule))


def test_pages_are_those_of_an_import(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 5000, (4, 12, 14)).astype(np.uint16)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "s.tif", pages, photometric="minisblack")
    write_import(read_folder(tmp_path / "in"), tmp_path / "out", naming=DatasetNaming("x"))
    manifest = load_manifest(tmp_path / "out")
    written = [read_image(row.image, manifest.spec.rule) for row in manifest.rows]
    found = read_rgb_frames(tmp_path / "in" / "s.tif", manifest.spec.rule)
    np.testing.assert_array_equal(np.stack(found), np.stack(written))
