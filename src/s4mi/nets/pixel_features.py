"""Networks that give every pixel of an image a feature vector, on a coarser grid."""

from abc import ABC
from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PixelFeatures(nn.Module, ABC):
    """(B, 3, H, W) in [0, 1] → (B, `width`, h, w) features.

    Attributes:
        width: number of channels.
        cell: side in pixels of a cell of the grid, whose last row and column may extend beyond the image; None: the
            grid covers the image exactly.
    """

    width: int
    cell: int | None

    @final
    def enlarge(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """(B, C, h, w) on the grid → (B, C, `size`) for images of `size` (height, width), bilinearly."""
        if self.cell is None:
            return F.interpolate(features, size=(int(size[0]), int(size[1])), mode="bilinear", align_corners=False)
        larger = F.interpolate(features, scale_factor=self.cell, mode="bilinear", align_corners=False)
        return larger[:, :, : size[0], : size[1]]


def freeze_unreached(net: nn.Module, output: Tensor) -> None:
    """Freeze parameters that no gradient of `output`, a scalar, reaches: distributed training waits for every other."""
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    for weight, gradient in zip(trained, torch.autograd.grad(output, trained, allow_unused=True), strict=True):
        weight.requires_grad_(gradient is not None)
