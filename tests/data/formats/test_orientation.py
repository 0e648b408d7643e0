"""Orientation of stored pixels: the same rule for images and masks of every format, with Pillow as the oracle."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from s4mi.data.files import read_frames, read_header
from s4mi.data.formats import tiff
from s4mi.data.formats.orientation import TAG, upright
from s4mi.data.images import image_size, read_image
from s4mi.data.masks import read_mask, read_mask_frame
from s4mi.data.spacing import pixel_spacing

STORED = np.arange(6 * 10 * 3, dtype=np.uint8).reshape(6, 10, 3)
TURNED = range(1, 9)


def oracle(stored: np.ndarray, orientation: int) -> np.ndarray:
    image = Image.fromarray(stored)
    image.getexif()[TAG] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def save(path: Path, stored: np.ndarray | Image.Image, orientation: int, kind: str) -> None:
    """Write by Pillow, or for `.tif` of arrays by tifffile, with an orientation that no pixel is turned by."""
    if kind in ("tifffile", "miniswhite"):
        photometric = "rgb" if np.ndim(stored) == 3 else "miniswhite" if kind == "miniswhite" else "minisblack"
        tifffile.imwrite(path, stored, photometric=photometric, extratags=[(TAG, "H", 1, orientation, True)])
        return
    image = stored if isinstance(stored, Image.Image) else Image.fromarray(stored)
    if path.suffix == ".tif":
        image.save(path, compression=kind, tiffinfo={TAG: orientation})
        return
    exif = Image.Exif()
    exif[TAG] = orientation
    image.save(path, exif=exif, **({"lossless": True} if path.suffix == ".webp" else {}))


@pytest.mark.parametrize("orientation", TURNED)
def test_the_eight_orientations_are_those_of_pillow(orientation: int) -> None:
    assert np.array_equal(upright(STORED, orientation), oracle(STORED, orientation))
    assert np.array_equal(upright(STORED[:, :, 0], orientation), oracle(STORED, orientation)[:, :, 0])


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".png", ""), (".webp", ""), (".jpg", ""), (".tif", "tifffile"), (".tif", "tiff_lzw"), (".tif", "raw")],
)
def test_images_and_masks_are_turned_alike(tmp_path: Path, suffix: str, kind: str, orientation: int) -> None:
    path = tmp_path / f"a{suffix}"
    save(path, STORED, orientation, kind)
    expected, tolerance = oracle(STORED, orientation), 255 if suffix == ".jpg" else 0
    image = read_image(path)
    assert image.shape == expected.shape == (*image_size(path), 3)
    assert np.abs(image.astype(int) - expected).max() <= tolerance
    assert np.array_equal(read_mask_frame(path).values, image)
    assert read_header(path).turned is (orientation != 1)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
@pytest.mark.parametrize(("suffix", "kind"), [(".png", ""), (".tif", "tiff_lzw"), (".tif", "raw")])
def test_codes_of_masks_are_turned(tmp_path: Path, suffix: str, kind: str, mode: str, orientation: int) -> None:
    codes = (np.arange(60) % 7).astype(np.uint16 if mode == "I;16" else np.uint8).reshape(6, 10)
    codes = codes > 2 if mode == "1" else codes
    image = Image.fromarray(codes)
    if mode == "P":
        image.putpalette([value for colour in range(8) for value in (colour, 9 * colour, 255 - colour)])
    save(tmp_path / f"a{suffix}", image, orientation, kind)
    assert np.array_equal(read_mask_frame(tmp_path / f"a{suffix}").values, upright(codes, orientation))


@pytest.mark.parametrize("orientation", TURNED)
def test_a_mask_with_the_tag_of_its_image_fits_it(tmp_path: Path, orientation: int) -> None:
    lesion = np.zeros((6, 10), dtype=np.uint8)
    lesion[1:3, 6:9] = 255
    for image, mask in (("i.jpg", "m.png"), ("i.tif", "m.tif"), ("i.png", "w.tif")):
        for name in (image, mask):
            kind = {"w": "miniswhite", "m": "tifffile", "i": "tifffile"}[name[0]] if name.endswith(".tif") else ""
            stored = 255 - lesion if kind == "miniswhite" else lesion
            save(tmp_path / name, stored, orientation, kind)
        shown = read_image(tmp_path / image)[:, :, 0] > 127
        assert np.array_equal(read_mask(tmp_path / mask, {0: "background", 255: "lesion"}), shown)


def test_every_page_and_plane_is_turned(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 256, (3, 16, 32), dtype=np.uint8)
    tag = [(TAG, "H", 1, 6, False)]
    for options in ({}, {"truncate": True}, {"volumetric": True, "tile": (16, 16, 16)}):
        tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", extratags=tag, **options)
        frames = [frame.values for frame in read_frames(tmp_path / "a.tif")]
        assert np.array_equal(frames, np.rot90(stack, -1, axes=(1, 2)))
        page = tiff.page(tmp_path / "a.tif", 0).values
        assert np.array_equal(page, frames[0])
        assert (tiff.pages(tmp_path / "a.tif")[0].height, tiff.pages(tmp_path / "a.tif")[0].width) == page.shape


def test_the_spacing_of_a_turned_image_is_turned(tmp_path: Path) -> None:
    for orientation, expected in ((1, (0.5, 0.25)), (6, (0.25, 0.5))):
        tifffile.imwrite(tmp_path / "a.tif", STORED[:, :, 0], imagej=True, resolution=(4, 2),
                         metadata={"unit": "mm"}, extratags=[(TAG, "H", 1, orientation, True)])  # fmt: skip
        assert pixel_spacing(tmp_path / "a.tif") == pytest.approx(expected)
