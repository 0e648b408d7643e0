"""Rows of a page are handed out from its bands, whatever their heights."""

import numpy as np
import pytest

from s4mi.inference.page_prediction import RowBuffer


@pytest.mark.parametrize("tile", [1, 7, 30, 64])
@pytest.mark.parametrize("step", [1, 5, 30, 90])
def test_rows_are_those_of_the_page(tile: int, step: int) -> None:
    rng = np.random.default_rng(tile * step)
    page = rng.integers(0, 256, (211, 3, 3), dtype=np.uint8)
    bands = [band for band in np.split(page, np.sort(rng.integers(0, 211, 9))) if len(band)]
    rows = RowBuffer(iter(bands))
    for top in range(0, 211, step):
        np.testing.assert_array_equal(rows.take(top, min(top + tile, 211)), page[top : top + tile])


def test_the_same_rows_can_be_asked_for_again() -> None:
    page = np.arange(60, dtype=np.uint8).reshape(20, 1, 3)
    rows = RowBuffer(iter(np.split(page, 4)))
    for _ in range(3):
        np.testing.assert_array_equal(rows.take(4, 13), page[4:13])
