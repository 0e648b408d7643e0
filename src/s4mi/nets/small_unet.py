"""The small 2-D U-Net of semi-supervised segmentation (Ronneberger et al. 2015, as in SSL4MIS; Luo et al. 2022).

block   conv 3×3, norm, leaky ReLU, dropout, conv 3×3, norm, leaky ReLU
down    max pooling by 2, block               16 → 32 → 64 → 128 → 256 channels, at strides 1 to 16
up      conv 1×1 to the finer width, bilinear upsampling by 2, concatenate with the encoder's map, block without
        dropout
head    conv 3×3 to the classes
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.nets.backbone import Normalise
from s4mi.nets.segmentation import SegmentationNet

WIDTHS = (16, 32, 64, 128, 256)
DROPOUT = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Dropout probabilities of the encoder's blocks; the decoder has no dropout."""
SLOPE = 0.01
"""Negative slope of the leaky ReLU."""


@final
class SmallUNet(SegmentationNet):
    """(B, 3, H, W) in [0, 1] → (B, `classes`, H, W) logits, with 1.8 M parameters; trained from random weights."""

    stride = 2 ** (len(WIDTHS) - 1)

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.normalise = Normalise()
        steps = zip(pairwise((3, *WIDTHS)), DROPOUT, strict=True)
        self.down = nn.ModuleList(_block(width, out, dropout=dropout) for (width, out), dropout in steps)
        self.up = nn.ModuleList(_Up(width, finer) for width, finer in pairwise(reversed(WIDTHS)))
        self.head = nn.Conv2d(WIDTHS[0], classes, 3, padding=1)

    def _features(self, images: Tensor) -> list[Tensor]:
        maps = [self.down[0](self.normalise(images))]
        for block in self.down[1:]:
            maps.append(block(F.max_pool2d(maps[-1], 2)))
        return maps

    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        *skips, x = features
        for up, skip in zip(self.up, reversed(skips), strict=True):
            x = up(x, skip)
        logits: Tensor = self.head(x)
        return logits


class _Up(nn.Module):
    """A map (B, `width`, h, w) and the finer one (B, `finer`, 2h, 2w) → (B, `finer`, 2h, 2w)."""

    def __init__(self, width: int, finer: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, finer, 1)
        self.block = _block(2 * finer, finer, dropout=0.0)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        # Corners are aligned as in SSL4MIS.
        upsampled = F.interpolate(self.narrow(coarse), scale_factor=2, mode="bilinear", align_corners=True)
        x: Tensor = self.block(torch.cat([skip, upsampled], dim=1))
        return x


def _block(width: int, out: int, *, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, out, 3, padding=1),
        nn.BatchNorm2d(out),
        nn.LeakyReLU(SLOPE),
        nn.Dropout(dropout),
        nn.Conv2d(out, out, 3, padding=1),
        nn.BatchNorm2d(out),
        nn.LeakyReLU(SLOPE),
    )
