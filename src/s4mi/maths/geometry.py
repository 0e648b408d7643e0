"""Affine transforms of feature maps."""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(features: Tensor, affine: Tensor) -> Tensor:
    """Warp (B, D, h, w) features by (B, 2, 3) matrices from output to input coordinates, as for `affine_grid`.

    Bilinear, with reflection at the borders; differentiable with respect to the features. Computed in float32 at
    least: the coordinates of a large feature map do not fit into 16 bits.
    """
    precision = torch.promote_types(features.dtype, torch.float32)
    grid = F.affine_grid(affine.to(precision), list(features.shape), align_corners=False)
    warped = F.grid_sample(features.to(precision), grid, padding_mode="reflection", align_corners=False)
    return warped.to(features.dtype)
