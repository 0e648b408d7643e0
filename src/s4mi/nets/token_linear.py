"""A linear layer on the feature maps of a frozen encoder, enlarged to the pixels.

    z = up(b + Σ_i up(W_i s(map_i)))

s standardises each channel. A linear layer and bilinear enlarging commute, so that each map passes its own W_i on its
own grid, and only K channels are enlarged.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from s4mi.nets.token_decoder import Standardise, enlarged, finest_grid


@final
class TokenLinear(nn.Module):
    """(B, C_i, h_i, w_i) feature maps → (B, K, H, W) logits at the size of the images."""

    def __init__(self, widths: Sequence[int], *, classes: int) -> None:
        """Draw the weights from torch's global generator; `widths` are the numbers of channels of the maps."""
        super().__init__()
        self.widths = tuple(widths)
        self.standardise = nn.ModuleList(Standardise(count) for count in widths)
        self.project = nn.ModuleList(nn.Conv2d(count, classes, kernel_size=1, bias=False) for count in widths)
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        return enlarged(self.token_logits(maps), images.shape[-2:])

    def token_logits(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, K, h, w) logits on the finest of the maps' grids."""
        finest = finest_grid(maps)
        z: Tensor = self.bias[:, None, None]
        for standardise, project, map_ in zip(self.standardise, self.project, maps, strict=True):
            z = z + enlarged(project(standardise(map_)), finest)
        return z

    def standardised(self, maps: Sequence[Tensor]) -> Tensor:
        """(B, Σ C_i, h, w) standardised features of all maps on the finest grid, which `take` has one weight for."""
        finest = finest_grid(maps)
        return torch.cat(
            [enlarged(standardise(map_), finest) for standardise, map_ in zip(self.standardise, maps, strict=True)], 1
        )

    @torch.no_grad()
    def take(self, weight: Tensor, bias: Tensor) -> None:
        """Set the weights (K, Σ C_i) and the bias (K,) of the layer."""
        for project, part in zip(self.project, weight.split_with_sizes(list(self.widths), dim=1), strict=True):
            project.weight.copy_(part[:, :, None, None])  # type: ignore[operator]
        self.bias.copy_(bias)
