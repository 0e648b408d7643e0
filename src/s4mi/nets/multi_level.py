"""Feature maps of several depths of a timm network, trained or frozen, for decoders that join them."""

from typing import Any, final

from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone
from s4mi.nets.block_maps import block_widths, default_blocks
from s4mi.nets.initial_weights import NONE


@final
class MultiLevelEncoder(nn.Module):
    """(B, 3, H, W) in [0, 1] → (B, C, h, w) maps of the `default_blocks`, from shallow to deep.

    The weights of a frozen one never change: they need no gradients, and it stays in evaluation mode.
    """

    def __init__(self, name: str, *, image_size: int, weights: str = NONE, frozen: bool = False) -> None:
        """Build the network as a `Backbone`.

        Raises:
            S4miError: as for a `Backbone`, or the network does not give the maps of its blocks.
        """
        super().__init__()
        self.name, self.frozen = name, frozen
        blocks = sorted(default_blocks(name))
        self.widths = block_widths(name, blocks)
        self.backbone = Backbone(name, image_size=image_size, weights=weights)
        net: Any = self.backbone.net
        if not hasattr(net, "forward_intermediates"):
            raise S4miError(f"{name!r} does not give the feature maps of its blocks; choose another encoder")
        self.indices = [len(net.feature_info) + block for block in blocks]
        if frozen:
            self.backbone.requires_grad_(False)
        self.train()

    def forward(self, images: Tensor) -> list[Tensor]:
        net: Any = self.backbone.net
        maps: list[Tensor] = net.forward_intermediates(
            self.backbone.normalise(images),
            indices=self.indices,
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )
        return maps

    def train(self, mode: bool = True) -> "MultiLevelEncoder":
        super().train(mode and not self.frozen)
        return self
