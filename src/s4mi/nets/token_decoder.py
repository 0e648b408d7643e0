"""A light decoder from the feature maps of a frozen encoder to the pixels, with a shallow branch for edges.

    t      hypercolumn: each map → standardised → 1×1 convolution, enlarged to the finest map's grid, joined
    t_1    conv(t) on that grid,  t_2 = conv(up(t_1)) on 2 times it,  t_4 = conv(up(t_2)) on 4 times it
    e      conv(conv(x)) of the image x, on the output grid
    z      1×1 of conv([up(t_4), e]), enlarged to the image

The grids never exceed the output grid, half the image's side. Everything is bilinear; normalisation is by groups of
channels, so that an image's logits do not depend on its batch.
"""

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 8
"""Groups of channels of the normalisation; widths are multiples of it."""
OUTPUT_STRIDE = 2
"""Pixels of the image per cell of the output grid."""
EDGE_WIDTH = 16
"""Number of channels of the image branch."""
MIN_SPREAD = 1e-6
"""Standard deviation below which a channel counts as constant."""


@final
class TokenDecoder(nn.Module):
    """(B, C_i, h_i, w_i) feature maps and (B, 3, H, W) images in [0, 1] → (B, K, H, W) logits."""

    def __init__(
        self, widths: Sequence[int], *, classes: int, width: int, dropout: float = 0.0, stride: int = OUTPUT_STRIDE
    ) -> None:
        """Draw the weights from torch's global generator.

        Args:
            widths: number of channels of each feature map.
            width: number of channels of the hypercolumn per map; the decoder's own are as many, then half as many.
            dropout: share of the channels of the feature maps that are left out at random in training.
            stride: pixels of the image per cell of the output grid.
        """
        super().__init__()
        self.stride = stride
        self.standardise = nn.ModuleList(Standardise(count) for count in widths)
        self.project = nn.ModuleList(nn.Conv2d(count, width, kernel_size=1) for count in widths)
        self.dropout = nn.Dropout2d(dropout)
        half = width // 2
        self.grid = _block(width * len(widths), width, kernel=1)
        self.twice = _block(width, width)
        self.four_times = _block(width, half)
        self.edges = nn.Sequential(_block(3, EDGE_WIDTH, stride=stride), _block(EDGE_WIDTH, EDGE_WIDTH))
        self.joined = _block(half + EDGE_WIDTH, half)
        self.classify = nn.Conv2d(half, classes, kernel_size=1)

    def draw(self) -> None:
        """Draw the weights anew; the standardisation stays."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.GroupNorm):
                module.reset_parameters()

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        edges = self.edges(images - 0.5)
        output = edges.shape[-2:]
        finest = finest_grid(maps)
        columns = [
            enlarged(project(self.dropout(standardise(map_))), finest)
            for standardise, project, map_ in zip(self.standardise, self.project, maps, strict=True)
        ]
        t = self.grid(torch.cat(columns, dim=1))
        for factor, block in ((2, self.twice), (4, self.four_times)):
            t = block(enlarged(t, (min(factor * finest[0], output[0]), min(factor * finest[1], output[1]))))
        z: Tensor = self.classify(self.joined(torch.cat([enlarged(t, output), edges], dim=1)))
        return enlarged(z, images.shape[-2:])


@final
class Standardise(nn.Module):
    """(B, C, h, w) → (x - mean) / std per channel, of the images that it was fitted to."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("std", torch.ones(1, channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std

    def fit(self, mean: Tensor, std: Tensor) -> None:
        """Take the (C,) mean and standard deviation of each channel; constant channels are only centred."""
        self.mean.copy_(mean.view_as(self.mean))
        self.std.copy_(torch.where(std > MIN_SPREAD, std, 1.0).view_as(self.std))


def _block(channels: int, width: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(GROUPS, width),
        nn.GELU(),
    )


def finest_grid(maps: Sequence[Tensor]) -> tuple[int, int]:
    """Height and width of the largest of the maps."""
    height, width = max((map_.shape[-2:] for map_ in maps), key=lambda size: size[0] * size[1])
    return int(height), int(width)


def enlarged(features: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, h, w) → (B, C, `size`), bilinearly."""
    if tuple(features.shape[-2:]) == tuple(size):
        return features
    return F.interpolate(features, size=(int(size[0]), int(size[1])), mode="bilinear", align_corners=False)
