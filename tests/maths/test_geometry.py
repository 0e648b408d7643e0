"""Warping of features, against scipy, a ramp by hand, and flips and quarter turns of whole pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from s4mi.contract import ViewSpec
from s4mi.data.loading.augment import draw_views
from s4mi.maths.geometry import warp

sizes = st.integers(1, 12)
seeds = st.integers(0, 2**31)


def features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def matrices(count: int, seed: int) -> Tensor:
    """Crops, rotations, flips and shifts as in training, also beyond the edge."""
    spec = ViewSpec(scale=(0.2, 1.0), aspect=(0.5, 2.0), translation=0.2)
    return draw_views(spec, count, torch.Generator().manual_seed(seed)).affine


def places(affine: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """(2, h, w) row and column of the input at each output pixel, with 0 at the centre of the first pixel."""
    y = (2 * np.arange(height) + 1) / height - 1
    x = (2 * np.arange(width) + 1) / width - 1
    ones = np.ones((height, width))
    seen = np.einsum("ij,jhw->ihw", affine, np.stack([ones * x, ones * y[:, None], ones]))
    return np.stack([((seen[1] + 1) * height - 1) / 2, ((seen[0] + 1) * width - 1) / 2])


@settings(deadline=None, max_examples=60)
@given(height=sizes, width=sizes, count=st.integers(1, 3), seed=seeds)
def test_features_are_warped_as_by_scipy(height: int, width: int, count: int, seed: int) -> None:
    z, affine = features(count, 3, height, width, seed=seed), matrices(count, seed)
    seen = warp(z, affine)
    for image in range(count):
        at = places(affine[image].double().numpy(), height, width)
        for channel in range(3):
            expected = ndimage.map_coordinates(z[image, channel].double().numpy(), at, order=1, mode="reflect")
            np.testing.assert_allclose(seen[image, channel].numpy(), expected, rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=40)
@given(height=st.integers(4, 40), width=st.integers(4, 40), seed=seeds)
def test_a_ramp_is_a_ramp_of_the_new_coordinates_at_any_resolution(height: int, width: int, seed: int) -> None:
    """So that one matrix applies to an image and to its smaller feature map."""
    affine = matrices(1, seed)
    row, column = places(affine[0].double().numpy(), height, width)
    inside = (row >= 0) & (row <= height - 1) & (column >= 0) & (column <= width - 1)
    x, y = (2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1
    ramp = torch.from_numpy(3 * x + 5 * y[:, None] + 1).float()
    expected = 3 * ((2 * column + 1) / width - 1) + 5 * ((2 * row + 1) / height - 1) + 1
    seen = warp(ramp[None, None], affine)[0, 0].numpy()
    np.testing.assert_allclose(seen[inside], expected[inside], rtol=0, atol=1e-4)


def linear(*rows: tuple[float, float]) -> Tensor:
    """The matrix of a transform that keeps the centre fixed."""
    return torch.cat([torch.tensor(rows), torch.zeros(2, 1)], dim=1)[None]


@pytest.mark.parametrize(
    ("affine", "moved"),
    [
        (linear((1, 0), (0, 1)), lambda z: z),
        (linear((-1, 0), (0, 1)), lambda z: z.flip(3)),
        (linear((1, 0), (0, -1)), lambda z: z.flip(2)),
        (linear((-1, 0), (0, -1)), lambda z: z.rot90(2, (2, 3))),
        (linear((0, 1), (-1, 0)), lambda z: z.rot90(-1, (2, 3))),
        (linear((0, 1), (1, 0)), lambda z: z.mT),
    ],
    ids=["nothing", "left-right", "up-down", "half a turn", "a quarter turn", "mirrored at the diagonal"],
)
@pytest.mark.parametrize("side", [8, 16])
def test_flips_and_quarter_turns_move_whole_pixels(affine: Tensor, moved, side: int) -> None:  # type: ignore[no-untyped-def]
    z = features(2, 3, side, side)
    torch.testing.assert_close(warp(z, affine.expand(2, -1, -1)), moved(z), rtol=0, atol=0 if side == 8 else 1e-5)


def test_a_crop_of_a_quarter_at_four_times_its_pixels_begins_with_its_corner() -> None:
    z = features(1, 2, 8, 8)
    top_left = torch.tensor([[[0.5, 0, -0.5], [0, 0.5, -0.5]]])
    every_second_place = warp(z, top_left)
    # Centres of output pixels are a quarter of an input pixel away from input centres.
    expected = torch.nn.functional.interpolate(z, scale_factor=2, mode="bilinear", align_corners=False)[..., :8, :8]
    torch.testing.assert_close(every_second_place, expected, rtol=0, atol=1e-5)


def test_each_image_has_its_own_matrix() -> None:
    z = features(2, 3, 8, 8)
    seen = warp(z, torch.cat([linear((1, 0), (0, 1)), linear((-1, 0), (0, 1))]))
    assert torch.equal(seen, torch.stack([z[0], z[1].flip(2)]))


@settings(deadline=None, max_examples=20)
@given(seed=seeds)
def test_the_gradient_is_that_of_a_linear_map(seed: int) -> None:
    """⟨warp(z), r⟩ = ⟨z, gradient⟩, because warping is linear in z."""
    z, r, affine = features(2, 3, 6, 7, seed=seed), features(2, 3, 6, 7, seed=seed + 1), matrices(2, seed)
    z.requires_grad_(True)
    product = (warp(z, affine) * r).sum()
    product.backward()  # type: ignore[no-untyped-call]
    assert z.grad is not None
    torch.testing.assert_close((z.detach() * z.grad).sum(), product.detach(), rtol=1e-4, atol=1e-4)


def test_the_geometry_may_be_of_another_precision_than_the_features() -> None:
    z = features(1, 2, 8, 8).double()
    assert warp(z, linear((-1, 0), (0, 1))).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_features_of_16_bits_are_warped_as_precisely_as_they_can_be_stored(dtype: torch.dtype) -> None:
    z, affine = features(2, 3, 96, 96).to(dtype), matrices(2, seed=3)
    assert torch.equal(warp(z, affine), warp(z.float(), affine).to(dtype))
