"""Large pages in bands have the pixels that they have when they are read at once, in every size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from s4mi.data import banded_page as module
from s4mi.data.area_resize import AreaResize, shrunk
from s4mi.data.banded_page import banded_page
from s4mi.data.formats import intensity
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity
from s4mi.data.images import read_image, resize_image


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 1000)


def page(path: Path, *, dtype: str = "uint8", channels: int = 3, size: tuple[int, int] = (301, 333)) -> Path:
    shape = (*size, channels) if channels > 1 else size
    top = 65000 if dtype == "uint16" else 256
    values = np.random.default_rng(0).gamma(2, top / 12, shape).clip(0, top - 1).astype(dtype)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(path, values, tile=(32, 48), photometric="rgb" if channels > 1 else "minisblack", metadata=None,
                     compression="zlib", **extra)  # fmt: skip
    return path


@pytest.mark.parametrize("rule", ["percentiles:0.1:99.9", "percentiles:2:90", "window:100:9000", "range"])
@pytest.mark.parametrize(("dtype", "channels"), [("uint8", 1), ("uint8", 4), ("uint16", 1), ("uint16", 3)])
def test_the_bands_are_the_image(tmp_path: Path, rule: str, dtype: str, channels: int) -> None:
    path, given = page(tmp_path / "a.tif", dtype=dtype, channels=channels), Intensity.parse(rule)
    banded = banded_page(path, given)
    assert banded is not None
    np.testing.assert_array_equal(np.concatenate(list(banded.bands())), read_image(path, given))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sampled", [1, 777, 5000, 40_000])
def test_the_limits_are_those_of_the_same_sample(
    tmp_path: Path, channels: int, sampled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in (module, intensity):
        monkeypatch.setattr(one, "SAMPLED", sampled)
    path = page(tmp_path / "a.tif", dtype="uint16", channels=channels)
    banded = banded_page(path)
    assert banded is not None
    np.testing.assert_array_equal(np.concatenate(list(banded.bands())), read_image(path))


@pytest.mark.parametrize("target", [(64, 64), (32, 32), (43, 111), (300, 332), (150, 7)])
def test_shrinking_in_bands_is_shrinking_at_once(tmp_path: Path, target: tuple[int, int]) -> None:
    path = page(tmp_path / "a.tif")
    banded = banded_page(path)
    assert banded is not None
    np.testing.assert_array_equal(banded.shrunk(target), resize_image(read_image(path), target))


def test_bands_of_any_height_shrink_as_opencv_shrinks() -> None:
    rng = np.random.default_rng(0)
    for trial in range(60):
        low = rng.integers(2, 90, 2)
        factors = rng.integers(1, 6, 2) if trial % 3 else 1 + 5 * rng.random(2)
        height, width = (max(int(n) + 1, int(n * factor)) for n, factor in zip(low, factors, strict=True))
        image = rng.integers(0, 256, (height, width, 3)[: 2 + trial % 2], dtype=np.uint8)
        bands = [band for band in np.split(image, np.sort(rng.integers(0, height, 4))) if len(band)]
        expected = cv2.resize(image, (int(low[1]), int(low[0])), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(shrunk(bands, (height, width), (int(low[0]), int(low[1]))), expected)


def test_one_row_at_a_time() -> None:
    image = np.random.default_rng(1).integers(0, 256, (100, 90), dtype=np.uint8)
    resize = AreaResize((100, 90), (30, 31))
    for row in image:
        resize.feed(row[None])
    np.testing.assert_array_equal(resize.result(), cv2.resize(image, (31, 30), interpolation=cv2.INTER_AREA))


def test_only_large_single_pages_of_a_format_that_allows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = page(tmp_path / "a.tif")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((500, 500), np.uint8))
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((2, 500, 500), np.uint8), photometric="minisblack")
    assert banded_page(path) is not None
    assert banded_page(tmp_path / "a.png") is None
    assert banded_page(tmp_path / "b.tif") is None
    assert banded_page(tmp_path / "none.tif") is None
    monkeypatch.setattr(module, "LARGE", 301 * 333)
    assert banded_page(path) is None


def test_a_page_too_narrow_to_shrink_is_refused(tmp_path: Path) -> None:
    banded = banded_page(page(tmp_path / "a.tif", size=(2000, 40)))
    assert banded is not None
    with pytest.raises(ImageError, match="is 2000×40, too large to be read at once and narrower than 64×64"):
        banded.shrunk((64, 64))
