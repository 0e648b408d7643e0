from pathlib import Path

import numpy as np
from PIL import Image

from s4mi.data.files import read_frames, read_header
from s4mi.data.images import read_image
from s4mi.data.manifest import load_manifest
from s4mi.data.masks import mask_file_values, read_mask, read_mask_frame

VESSEL = (np.add.outer(np.arange(24), np.arange(30)) % 7 == 0).astype(np.uint8) * 255


def test_masks_of_drive_are_read(tmp_path: Path, s4mi) -> None:
    """DRIVE: `images/21_training.tif`, `1st_manual/21_manual1.gif`, `mask/21_training_mask.gif`."""
    for folder in ("images", "1st_manual"):
        (tmp_path / "DRIVE" / folder).mkdir(parents=True)
    for number in (21, 22):
        fundus = np.random.default_rng(number).integers(0, 256, (24, 30, 3), dtype=np.uint8)
        Image.fromarray(fundus).save(tmp_path / f"DRIVE/images/{number}_training.tif", compression="tiff_lzw")
        Image.fromarray(np.roll(VESSEL, number)).save(tmp_path / f"DRIVE/1st_manual/{number}_manual1.gif")
    options = ["--masks", "1st_manual", "--image-suffix", "_training", "--mask-suffix", "_manual1"]
    done = s4mi(
        "data", "import", "pairs", tmp_path / "DRIVE", "-o", tmp_path / "out", *options, "--foreground", "vessel"
    )
    assert done.returncode == 0, done.stderr
    manifest = load_manifest(tmp_path / "out")
    assert manifest.spec.mask_values == {0: "background", 255: "vessel"}
    for row, number in zip(manifest.rows, (21, 22), strict=True):
        assert row.mask is not None
        assert np.array_equal(read_mask(row.mask, manifest.spec.mask_values), np.roll(VESSEL, number) > 0)


def test_a_palette_is_colours_for_image_and_mask_in_whatever_order_it_is_written(tmp_path: Path) -> None:
    image = Image.fromarray(VESSEL // 255, mode="P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.save(tmp_path / "a.gif")
    other = Image.fromarray(1 - VESSEL // 255, mode="P")
    other.putpalette([200, 100, 0, 10, 20, 30])
    other.save(tmp_path / "b.gif", optimize=False)
    for name in ("a.gif", "b.gif"):
        expected = np.array([[10, 20, 30], [200, 100, 0]])[VESSEL // 255]
        assert np.array_equal(read_image(tmp_path / name), expected)
        assert np.array_equal(read_mask_frame(tmp_path / name).values, expected)
    assert mask_file_values(tmp_path / "a.gif") == ("#0a141e", "#c86400")


def test_every_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pages = [generator.integers(0, 256, (16, 18), dtype=np.uint8) for _ in range(4)]
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "a.gif", save_all=True, append_images=others)
    assert read_header(tmp_path / "a.gif").frames == 4
    for frame, page in zip(read_frames(tmp_path / "a.gif"), pages, strict=True):
        grey = frame.values if frame.values.ndim == 2 else frame.values[:, :, 0]
        assert np.array_equal(grey, page)
