"""Bands of a page are the page: every kind of TIFF that can be read in bands, against reading it at once."""

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from made_pages import HEIGHT, KINDS, WIDTH, pixels, written
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import ImageError


@pytest.mark.parametrize("kind", KINDS)
def test_bands_are_the_page_to_the_bit(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    KINDS[kind](path)
    assert tiff.header(path).banded
    for codes in (False, True):
        whole = (tiff.codes(path) if codes else next(tiff.frames(path))).values
        bands = list(tiff.bands(path, codes=codes))
        assert all(band.dtype == whole.dtype for band in bands)
        assert len(bands) > 1
        np.testing.assert_array_equal(np.concatenate(bands), whole)


def test_the_levels_of_a_pyramid_are_left_out_whatever_their_size(tmp_path: Path) -> None:
    path, values = tmp_path / "a.ome.tif", pixels(3)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        common = {"tile": (32, 48), "photometric": "rgb", "metadata": None}
        writer.write(values, **common)
        writer.write(values[::2, ::2], subfiletype=1, **common)
        writer.write(values[:100, :50], subfiletype=1, **common)  # no half of anything
        writer.write(values[:64, :64], **common)  # a page of another size that is not marked as reduced
    np.testing.assert_array_equal(np.concatenate(list(tiff.bands(path))), values)


def test_a_tile_that_is_not_stored_is_black(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    blank = [b""] * 12 + [zlib.compress(np.full((64, 64), 9, np.uint8).tobytes())] + [b""] * 17
    tifffile.imwrite(path, iter(blank), shape=(HEIGHT, WIDTH), dtype=np.uint8, tile=(64, 64), metadata=None,
                     compression="zlib")  # fmt: skip
    whole = next(tiff.frames(path)).values
    assert whole.sum() == 9 * 64 * 64
    np.testing.assert_array_equal(np.concatenate(list(tiff.bands(path))), whole)


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("turned", lambda path: written(path, pixels(), tile=(32, 32), extratags=[(274, "H", 1, 6, True)])),
        ("volume", lambda path: written(path, np.stack([pixels()] * 16), volumetric=True,
         tile=(16, 32, 32), photometric="minisblack")),
    ],
)  # fmt: skip
def test_what_is_read_at_once_is_said(kind: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "a.tif")
    assert not tiff.header(tmp_path / "a.tif").banded


def test_the_limit_of_bands_is_higher_and_both_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, iter([b""] * 400), shape=(40_000, 40_000), dtype=np.uint8, tile=(2000, 2000),
                     compression="zlib", metadata=None)  # fmt: skip
    assert tiff.header(path).height == 40_000
    with pytest.raises(ImageError, match=r"1,600 megapixels, more than the limit of 1,000.*S4MI_MAX_MEGAPIXELS"):
        next(tiff.frames(path))
    monkeypatch.setenv("S4MI_MAX_MEGAPIXELS", "1500")
    with pytest.raises(ImageError, match="more than the limit of 1,500"):
        tiff.header(path)


def test_a_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    written(path, pixels(3), tile=(32, 48), photometric="rgb", compression="zlib")
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ImageError):
        list(tiff.bands(path))
