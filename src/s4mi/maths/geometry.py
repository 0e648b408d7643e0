"""Affine transforms of feature maps."""

import torch.nn.functional as F
from torch import Tensor


def warp(features: Tensor, affine: Tensor) -> Tensor:
    """Warp (B, D, h, w) features by (B, 2, 3) matrices from output to input coordinates, as for `affine_grid`.

    Bilinear, with reflection at the borders; differentiable with respect to the features.
    """
    grid = F.affine_grid(affine.to(features.dtype), list(features.shape), align_corners=False)
    return F.grid_sample(features, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
