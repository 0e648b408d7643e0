"""Bands of large pages give what the whole page gives."""

import numpy as np
import pytest

from s4mi.data.loading.sliding_window import Windows
from s4mi.data.loading.tiles import TileGrid
from s4mi.inference.bands import BandOfPage, bands_of_tiles, bands_of_whole, bands_of_windows, decided, whole_page
from s4mi.inference.predictor import classes_of, resized
from s4mi.maths.regions import measure


def joined(bands: list[BandOfPage]) -> np.ndarray:
    assert [band.top for band in bands] == np.cumsum(
        [0] + [band.probabilities.shape[1] for band in bands[:-1]]
    ).tolist()
    return np.concatenate([band.probabilities for band in bands], axis=1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("size", [(700, 301), (32, 32), (1000, 40), (257, 90)])
def test_bands_of_a_whole_page_are_its_enlargement(rng: np.random.Generator, size: tuple[int, int]) -> None:
    output = rng.random((1, 3, 32, 32), dtype=np.float32)
    page = joined(list(bands_of_whole(output[0], size)))
    np.testing.assert_allclose(page, resized(output, size)[0], atol=2e-5)
    np.testing.assert_array_equal(page, whole_page(output[0], size))


@pytest.mark.parametrize("size", [(130, 170), (64, 64), (40, 200), (65, 64)])
@pytest.mark.parametrize("overlap", [0.25, 0.5, 0.01])
def test_bands_of_windows_are_their_blend(rng: np.random.Generator, size: tuple[int, int], overlap: float) -> None:
    windows = Windows(*size, tile=64, overlap=overlap)
    tiles = rng.random((len(windows.corners), 2, 16, 16), dtype=np.float32)
    expected = windows.blend(resized(tiles, (64, 64)))
    np.testing.assert_array_equal(joined(list(bands_of_windows(tiles, windows))), expected)


@pytest.mark.parametrize("size", [(130, 170), (64, 64), (40, 200)])
def test_bands_of_tiles_are_their_page(rng: np.random.Generator, size: tuple[int, int]) -> None:
    grid = TileGrid(*size, tile=64)
    tiles = rng.random((len(grid.corners), 2, 16, 16), dtype=np.float32)
    np.testing.assert_array_equal(
        joined(list(bands_of_tiles(tiles, grid, size))), grid.stitch(resized(tiles, (64, 64)))
    )


def test_decisions_and_means_are_those_of_the_page(rng: np.random.Generator) -> None:
    page = rng.random((3, 90, 40), dtype=np.float32)
    large = decided((BandOfPage(top, page[:, top : top + 20]) for top in range(0, 90, 20)), (90, 40))
    classes = classes_of(page)
    np.testing.assert_array_equal(large.classes, classes)
    for k in range(3):
        assert large.tally.mean(k) == pytest.approx(page[k][classes == k].mean(dtype=np.float64), rel=1e-6)
        one, other = large.tally.regions(k), measure(classes == k)
        assert one.pixels == other.pixels
        assert one.centre == pytest.approx(other.centre)


def test_a_class_without_pixels_has_no_centre_and_no_mean() -> None:
    large = decided(iter([BandOfPage(0, np.array([1, 0], np.float32).reshape(2, 1, 1))]), (1, 1))
    assert large.tally.regions(1).centre is None
    assert np.isnan(large.tally.mean(1))
