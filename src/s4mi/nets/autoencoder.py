"""Autoencoder post-processing of segmentation logits (Singh & Cirrone 2023)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from s4mi.nets.ensemble import MemberSelection

RAW, POST_PROCESSED = "raw", "post-processed"


@final
class WidthAutoencoder(nn.Module):
    """MLP autoencoder over each row of pixels: (B, K, H, `width`) logits → the same shape.

    Linear layers from `width` through the widths `hidden` and mirrored back, with a GELU after each but the last: after
    the last one, a GELU would leave no logit below -0.17.
    """

    def __init__(self, width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = (width, *hidden, *reversed(hidden[:-1]), width)
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.GELU())]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, logits: Tensor) -> Tensor:
        post_processed: Tensor = self.layers(logits)
        return post_processed


@final
class PostProcessed(nn.Module):
    """A network with an autoencoder over its logits, (B, 3, H, W) → (B, K, H, `width`) raw or post-processed logits."""

    def __init__(self, net: nn.Module, *, width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.net = net
        self.autoencoder = WidthAutoencoder(width, hidden)
        self.choice = MemberSelection((RAW, POST_PROCESSED), default=POST_PROCESSED)

    def member_logits(self, images: Tensor) -> dict[str, Tensor]:
        """Logits before and after the autoencoder."""
        z = self.net(images)
        return {RAW: z, POST_PROCESSED: self.autoencoder(z)}

    def forward(self, images: Tensor) -> Tensor:
        z: Tensor = self.net(images)
        return z if self.choice.name == RAW else self.autoencoder(z)
