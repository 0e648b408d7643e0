"""Pixel features of a ViT: the tokens of several blocks, each through a linear layer, summed on their grid.

    p = Σ_i W_i m_i + b_i

m_i is the (C, h, w) map of the tokens of a block, normalised as the last one is. A ViT has one stride throughout, so
that there is no pyramid (`fpn.FPN`).
"""

from collections.abc import Sequence
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.nets.backbone import Backbone, fitting_size
from s4mi.nets.block_maps import block_widths, default_blocks
from s4mi.nets.initial_weights import NONE
from s4mi.nets.pixel_features import PixelFeatures, freeze_unreached


@final
class TokenFeatures(PixelFeatures):
    """(B, 3, H, W) in [0, 1] → (B, `width`, S / patch, S / patch) features.

    Images are resized to S = `size`, the multiple of the patches that is nearest to the image size to expect.
    """

    cell = None

    def __init__(self, backbone: str, *, width: int, image_size: int, weights: str = NONE) -> None:
        """Build the ViT with `weights` as for a `Backbone`: "imagenet", "none", or the path of a file.

        Raises:
            S4miError: a network that is unknown, or weights that are missing, cannot be downloaded or do not fit.
        """
        super().__init__()
        self.width, self.size = width, fitting_size(backbone, image_size)
        blocks = default_blocks(backbone)
        complete = Backbone(backbone, image_size=self.size, weights=weights)
        self.normalise = complete.normalise
        self.encoder: Any = complete.net
        self.levels = _pruned(self.encoder, blocks)
        self.laterals = nn.ModuleList(
            nn.Conv2d(count, width, kernel_size=1) for count in block_widths(backbone, blocks)
        )
        with torch.enable_grad():
            freeze_unreached(self, self(torch.zeros(1, 3, self.size, self.size)).sum())

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)
        maps: list[Tensor] = self.encoder.forward_intermediates(
            self.normalise(images), indices=self.levels, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return torch.stack([lateral(map_) for lateral, map_ in zip(self.laterals, maps, strict=True)]).sum(dim=0)


def _pruned(net: Any, blocks: Sequence[int]) -> list[int]:
    """Remove what follows the last of the blocks, but not the last norm; return their indices from the start."""
    levels: list[int] = net.prune_intermediate_layers(list(blocks), prune_norm=False, prune_head=True)
    return levels
