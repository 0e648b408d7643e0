"""Features of every pixel at several scales, as ilastik has them (Berg et al. 2019): nothing is learnt.

    at each scale σ     G_σ * red, green, blue, and the same less their mean over the image
                        of grey: |∇|, Laplacian, both eigenvalues of the Hessian (derivatives of G_σ), and of the
                        structure tensor G_σ * (∇ ∇ᵀ)

Derivatives are multiplied by σ or σ², so that they are comparable between scales. Filters are separable, and images
have at most a few hundred rows: each filter is a product with one (S, S) matrix per axis that contains the mirrored
border.
"""

from functools import lru_cache
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SCALES = (0.7, 1.6, 3.5, 8.0)
"""Standard deviations in pixels."""
TRUNCATED = 3.0
"""Filters end at this many standard deviations."""
LUMA = (0.2125, 0.7154, 0.0721)
OF_COLOUR = ("red", "green", "blue", "relative red", "relative green", "relative blue")
OF_GREY = (
    "gradient", "Laplacian", "greater Hessian", "smaller Hessian", "greater structure", "smaller structure",
)  # fmt: skip


@final
class FilterBank(nn.Module):
    """(B, 3, H, W) in [0, 1] → (B, D, H, W) float32."""

    names: tuple[str, ...] = tuple(f"{name} at {scale}" for scale in SCALES for name in (*OF_COLOUR, *OF_GREY))

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features, in the order of `names`."""
        x = images.float()
        grey = (x * x.new_tensor(LUMA)[:, None, None]).sum(dim=1)
        mean = x.mean(dim=(2, 3), keepdim=True)
        features: list[Tensor] = []
        for scale in SCALES:
            smooth = gaussian(x, scale)
            features += [*smooth.unbind(1), *(smooth - mean).unbind(1), *_of_grey(grey, scale)]
        return torch.stack(features, dim=1)


def gaussian(x: Tensor, scale: float, *, order: tuple[int, int] = (0, 0)) -> Tensor:
    """(…, H, W) filtered with a Gaussian, or its derivative of `order` 0, 1 or 2 along rows and columns."""
    rows, columns = (
        torch.from_numpy(filter_matrix(int(size), scale, axis_order)).to(x)
        for size, axis_order in zip(x.shape[-2:], order, strict=True)
    )
    return rows @ x @ columns.T


def _of_grey(grey: Tensor, scale: float) -> list[Tensor]:
    dy, dx = (scale * gaussian(grey, scale, order=order) for order in ((1, 0), (0, 1)))
    yy, xx, xy = (scale**2 * gaussian(grey, scale, order=order) for order in ((2, 0), (0, 2), (1, 1)))
    tensor = [gaussian(product, scale) for product in (dy * dy, dx * dx, dx * dy)]
    return [(dx.square() + dy.square()).sqrt(), yy + xx, *_eigenvalues(yy, xx, xy), *_eigenvalues(*tensor)]


def _eigenvalues(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The greater and the smaller eigenvalue of [[a, c], [c, b]]."""
    middle, spread = (a + b) / 2, (((a - b) / 2).square() + c.square()).sqrt()
    return middle + spread, middle - spread


@lru_cache(maxsize=64)
def filter_matrix(size: int, scale: float, order: int) -> NDArray[np.float32]:
    """(size, size) matrix of a filter along one axis, with the border mirrored about the outermost pixels.

    The kernels are those of `scipy.ndimage.gaussian_filter1d`, but for what the second derivative of a constant is
    there: cut off at 3σ, it is not 0. An array, not a tensor: while an export is traced, tensors are only descriptions,
    and must not be kept.
    """
    radius = int(TRUNCATED * scale + 0.5)
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-np.square(offsets) / (2 * scale**2))
    kernel = kernel / kernel.sum()
    if order == 1:
        kernel = kernel * offsets / scale**2  # correlation: the sign is that of the derivative
    elif order == 2:
        curved = kernel * (np.square(offsets) / scale**4 - 1 / scale**2)
        kernel = curved - curved.sum() * kernel
    matrix = np.zeros((size, size))
    rows, period = np.arange(size), max(2 * (size - 1), 1)
    for offset, weight in zip(offsets.tolist(), kernel.tolist(), strict=True):
        place = (rows + offset) % period
        place = np.where(place >= size, period - place, place) if size > 1 else np.zeros_like(rows)
        matrix[rows, place] += weight
    return matrix.astype(np.float32)
