from pathlib import Path

import numpy as np
import pytest
import tifffile

from s4mi.data.files import read_frames, read_header
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.pixel_limit import check_pixels
from s4mi.data.images import read_image
from s4mi.data.masks import mask_file_values


def grey(height: int = 8, width: int = 9, dtype: type = np.uint16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (height, width)).astype(dtype)


def stains(path: Path) -> list[np.ndarray]:
    """Two large pages with names, a small RGB page and a preview."""
    pages = [grey(16, 18, seed=1), grey(16, 18, seed=2), np.stack([grey(dtype=np.uint8, seed=s) for s in range(3)], 2)]
    with tifffile.TiffWriter(path) as writer:
        for page, name in zip(pages, ("DAPI", "CD3", "autofluorescence"), strict=True):
            kind = "rgb" if page.ndim == 3 else "minisblack"
            writer.write(page, photometric=kind, extratags=[(285, "s", 0, name, True)], metadata=None)
        writer.write(pages[0][::2, ::2], subfiletype=1, metadata=None)
    return pages


def test_pages_that_differ_are_told_apart_by_number_and_name(tmp_path: Path) -> None:
    written = stains(tmp_path / "a.tif")
    pages = tiff.pages(tmp_path / "a.tif")
    assert [(page.number, page.name, page.height, page.channels) for page in pages] == [
        (0, "DAPI", 16, 1), (1, "CD3", 16, 1), (2, "autofluorescence", 8, 3)
    ]  # fmt: skip
    for number, page in enumerate(written):
        assert np.array_equal(tiff.page(tmp_path / "a.tif", number).values, page)
    with pytest.raises(ImageError, match="has 3 pages and no page 3"):
        tiff.page(tmp_path / "a.tif", 3)


def test_frames_are_the_pages_like_the_first(tmp_path: Path) -> None:
    written = stains(tmp_path / "a.tif")
    assert read_header(tmp_path / "a.tif").frames == 2
    assert [
        np.array_equal(frame.values, page)
        for frame, page in zip(read_frames(tmp_path / "a.tif"), written, strict=False)
    ] == [True, True]


def test_names_of_imagej_and_ome_are_known(tmp_path: Path) -> None:
    stack = np.stack([grey(seed=s) for s in range(2)])
    tifffile.imwrite(tmp_path / "ij.tif", stack, imagej=True, metadata={"Labels": ["DAPI", "CD3"]})
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "CD3"]}})
    for name in ("ij.tif", "a.ome.tif"):
        assert [page.name for page in tiff.pages(tmp_path / name)] == ["DAPI", "CD3"], name


def test_white_is_zero_is_turned_round(tmp_path: Path) -> None:
    pixels = grey(dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    assert np.array_equal(read_image(tmp_path / "a.tif")[:, :, 0], 255 - pixels)


def test_a_palette_is_colours_for_an_image_and_indices_for_a_mask(tmp_path: Path) -> None:
    indices = (grey(dtype=np.uint8) % 3).astype(np.uint8)
    palette = np.zeros((3, 256), dtype=np.uint16)
    palette[:, 1], palette[:, 2] = (65535, 0, 0), (0, 65535, 0)
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=palette)
    assert np.array_equal(read_image(tmp_path / "a.tif"), (np.moveaxis(palette, 0, -1) >> 8)[indices])
    assert read_header(tmp_path / "a.tif").channels == 3
    assert mask_file_values(tmp_path / "a.tif") == (0, 1, 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
def test_numbers_are_read_as_they_are(tmp_path: Path, dtype: type) -> None:
    pixels = grey(dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    (frame,) = read_frames(tmp_path / "a.tif")
    assert frame.values.dtype == dtype
    assert np.array_equal(frame.values, pixels)
    assert read_header(tmp_path / "a.tif").dtype == np.dtype(dtype).name


def test_separate_planes_of_colour_are_put_together(tmp_path: Path) -> None:
    planes = np.stack([grey(dtype=np.uint8, seed=s) for s in range(3)])
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(planes, 0, 2))


def test_a_page_that_follows_itself_is_no_endless_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), dtype=np.uint8))
    contents = bytearray(path.read_bytes())
    first = int.from_bytes(contents[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(contents[first : first + 2], "little")
    contents[after : after + 4] = first.to_bytes(4, "little")
    path.write_bytes(contents)
    for read in (read_header, lambda path: list(read_frames(path))):
        with pytest.raises(ImageError, match="has pages that follow themselves; copy it again"):
            read(path)


def test_a_size_beyond_what_floats_hold_is_one_short_line() -> None:
    with pytest.raises(ImageError, match=r"is 32×10\^308 = 10\^303 megapixels, more than the limit of") as caught:
        check_pixels(32, 10**308)
    assert len(str(caught.value)) < 200
