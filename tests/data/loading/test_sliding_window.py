"""Windows cover every pixel, overlap as asked, and blend as MONAI's do."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map
from monai.inferers import sliding_window_inference

from s4mi.data.loading.sliding_window import Windows, importance_map

sides = st.integers(1, 90)
overlaps = st.sampled_from([0.0, 0.25, 0.5, 0.8])


@settings(max_examples=100, deadline=None)
@given(sides, sides, st.integers(4, 40), overlaps)
def test_every_pixel_is_covered_by_windows_inside_the_page(height: int, width: int, tile: int, overlap: float) -> None:
    seen = np.zeros((height, width), dtype=int)
    for top, left in Windows(height, width, tile, overlap).corners:
        assert top + tile <= max(height, tile)
        assert left + tile <= max(width, tile)
        seen[top : top + tile, left : left + tile] += 1
    assert seen.min() >= 1


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 400), st.integers(4, 64), overlaps)
def test_neighbours_overlap_as_requested(length: int, tile: int, overlap: float) -> None:
    tops = sorted({top for top, _ in Windows(length, tile, tile, overlap).corners})
    for one, other in pairwise(tops):
        assert other - one <= max(1, tile * (1 - overlap))


@settings(max_examples=50, deadline=None)
@given(sides, sides, st.integers(4, 40), overlaps)
def test_a_constant_stays_constant(height: int, width: int, tile: int, overlap: float) -> None:
    windows = Windows(height, width, tile, overlap)
    tiles = np.broadcast_to(np.float32([0.25, 0.75])[:, None, None], (len(windows.corners), 2, tile, tile))
    page = windows.blend(np.ascontiguousarray(tiles))
    assert page.shape == (2, height, width)
    np.testing.assert_allclose(page, np.broadcast_to(np.float32([0.25, 0.75])[:, None, None], page.shape), rtol=1e-5)


@settings(max_examples=50, deadline=None)
@given(sides, sides, st.integers(4, 40), overlaps)
def test_blending_the_windows_of_a_page_restores_it(height: int, width: int, tile: int, overlap: float) -> None:
    page = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    windows = Windows(height, width, tile, overlap)
    tiles = np.stack([windows.cut(page, corner) for corner in windows.corners])
    blended = windows.blend(tiles.transpose(0, 3, 1, 2).astype(np.float32))
    np.testing.assert_allclose(blended, page.transpose(2, 0, 1), rtol=1e-4)


def test_weights_are_those_of_monai() -> None:
    for tile in (16, 33):
        expected = compute_importance_map((tile, tile), mode="gaussian", sigma_scale=0.125)
        np.testing.assert_allclose(importance_map(tile), np.maximum(expected.numpy(), 1e-3), atol=1e-6)


def test_a_page_that_fits_the_windows_is_predicted_as_by_monai() -> None:
    """MONAI lays windows from the start and moves the last one back; on such a page both have the same windows."""
    tile, side = 16, 40
    page = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    shade = torch.linspace(0, 1, tile)[None, None, None, :]  # a prediction that depends on the position in the window

    def predict(windows: torch.Tensor) -> torch.Tensor:
        return windows[:, :2] * shade

    windows = Windows(side, side, tile, 0.25)
    assert {top for top, _ in windows.corners} == {0, 12, 24}
    images = torch.from_numpy(page).permute(2, 0, 1)[None].float()
    expected = sliding_window_inference(images, (tile, tile), 4, predict, overlap=0.25, mode="gaussian")
    tiles = np.stack([windows.cut(page, corner) for corner in windows.corners]).transpose(0, 3, 1, 2)
    found = windows.blend(predict(torch.from_numpy(tiles).float()).numpy())
    np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(10, 50), (16, 16)])
def test_a_page_smaller_than_a_window_is_padded_below_and_to_the_right(height: int, width: int) -> None:
    page = np.full((height, width, 3), 7, dtype=np.uint8)
    piece = Windows(height, width, 16, 0.25).cut(page, (0, 0))
    assert piece.shape == (16, 16, 3)
    assert (piece[:height, :width] == 7).all()
    assert (piece[height:] == 0).all()
