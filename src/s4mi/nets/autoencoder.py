"""The autoencoder that goes over the logits of a segmentation (Singh & Cirrone 2023, autoencoder post-processing)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn


@final
class WidthAutoencoder(nn.Module):
    """(B, K, H, `width`) logits → the same, each row of pixels squeezed through the `hidden` widths and back.

    Linear layers from `width` through `hidden` and mirrored back, with a GELU after each but the last: logits have
    either sign. (One after the last would leave no logit below -0.17.)
    """

    def __init__(self, width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = (width, *hidden, *reversed(hidden[:-1]), width)
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.GELU())]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, logits: Tensor) -> Tensor:
        post_processed: Tensor = self.layers(logits)
        return post_processed
