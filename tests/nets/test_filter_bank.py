"""Features of pixels against scipy's and scikit-image's filters."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.feature import hessian_matrix_eigvals, structure_tensor_eigenvalues

from s4mi.nets.filter_bank import LUMA, OF_COLOUR, OF_GREY, SCALES, TRUNCATED, FilterBank, filter_matrix, gaussian


def images(size: tuple[int, int] = (40, 56), *, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(seed))


def peer(channel: np.ndarray, scale: float, order: tuple[int, int] = (0, 0)) -> np.ndarray:  # type: ignore[type-arg]
    def filtered(values: np.ndarray, order: tuple[int, int]) -> np.ndarray:  # type: ignore[type-arg]
        return ndimage.gaussian_filter(values.astype(np.float64), scale, order=order, mode="mirror", truncate=TRUNCATED)

    # A second derivative, cut off at 3σ, is not 0 of a constant there.
    of_constant = filtered(np.ones_like(channel), order)
    return filtered(channel, order) - (of_constant * filtered(channel, (0, 0)) if 2 in order else 0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("order", [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (0, 2)])
def test_filters_are_scipys(scale: float, order: tuple[int, int]) -> None:
    x = images()
    ours = gaussian(x, scale, order=order)
    for image in range(2):
        np.testing.assert_allclose(ours[image, 1], peer(x[image, 1].numpy(), scale, order), atol=2e-5)


def test_the_border_of_an_image_smaller_than_the_filter_is_scipys() -> None:
    x = images((5, 9))
    np.testing.assert_allclose(gaussian(x, 8.0)[0, 0], peer(x[0, 0].numpy(), 8.0), atol=1e-5)


def test_features_of_edges_are_those_of_scikit_image() -> None:
    x = images()
    features = dict(zip(FilterBank.names, FilterBank()(x)[0].numpy(), strict=True))
    grey = np.tensordot(np.array(LUMA), x[0].numpy(), axes=1)
    for scale in SCALES:
        dy, dx = (scale * peer(grey, scale, order) for order in ((1, 0), (0, 1)))
        yy, xy, xx = (scale**2 * peer(grey, scale, order) for order in ((2, 0), (1, 1), (0, 2)))
        hessian = hessian_matrix_eigvals([yy, xy, xx])
        structure = structure_tensor_eigenvalues([peer(product, scale) for product in (dy * dy, dy * dx, dx * dx)])
        expected = [np.hypot(dx, dy), yy + xx, *hessian, *structure]
        for name, value in zip(OF_GREY, expected, strict=True):
            np.testing.assert_allclose(features[f"{name} at {scale}"], value, atol=5e-5, err_msg=name)


def test_relative_colours_do_not_change_with_the_illumination() -> None:
    x = 0.5 * images()
    one, other = FilterBank()(x), FilterBank()(x + 0.2)
    for number, name in enumerate(FilterBank.names):
        if not name.startswith(("red", "green", "blue")):
            torch.testing.assert_close(one[:, number], other[:, number], atol=1e-4, rtol=1e-3)


def test_a_constant_image_has_no_edges() -> None:
    features = FilterBank()(torch.full((1, 3, 20, 20), 0.4))
    assert features.shape == (1, len(SCALES) * (len(OF_COLOUR) + len(OF_GREY)), 20, 20)
    for number, name in enumerate(FilterBank.names):
        expected = 0.4 if name.startswith(("red", "green", "blue")) else 0.0
        torch.testing.assert_close(features[0, number], torch.full((20, 20), expected), atol=1e-4, rtol=0)


def test_a_filter_of_one_pixel_is_the_pixel() -> None:
    assert filter_matrix(1, 3.5, 0).tolist() == [[pytest.approx(1.0)]]


@pytest.mark.long
def test_tracing_an_export_leaves_nothing_behind() -> None:
    filter_matrix.cache_clear()
    x = images((18, 18))
    program = torch.export.export(FilterBank(), (x,))
    torch.testing.assert_close(program.module()(x), FilterBank()(x))
