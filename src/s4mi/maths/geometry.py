"""Geometry as matrices, applied to feature maps as to images."""

import torch.nn.functional as F
from torch import Tensor


def warp(features: Tensor, affine: Tensor) -> Tensor:
    """(B, D, h, w) features seen through (B, 2, 3) matrices from output to input, as `affine_grid` takes them.

    Bilinear; beyond the edge their mirror is seen. The gradient flows to the features.
    """
    grid = F.affine_grid(affine.to(features.dtype), list(features.shape), align_corners=False)
    return F.grid_sample(features, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
