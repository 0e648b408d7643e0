"""A frozen encoder with trained heads on its feature maps, as a segmentation network.

maps   feature maps of four depths of the encoder, whose weights never change
head   `decoder`: the light decoder of `token_decoder`, with a branch for edges in the image
       `linear`: a linear layer of `token_linear`
z      log of the mean of the heads' softmaxes
"""

from collections.abc import Sequence
from typing import Literal, final

from torch import Tensor, nn

from s4mi.nets.backbone import patch_size_of
from s4mi.nets.ensemble import mean_logits
from s4mi.nets.initial_weights import NONE
from s4mi.nets.multi_level import MultiLevelEncoder
from s4mi.nets.segmentation import SegmentationNet, freeze_unused
from s4mi.nets.token_decoder import TokenDecoder
from s4mi.nets.token_linear import TokenLinear

HeadName = Literal["decoder", "linear"]
WIDTH = 64
"""Number of channels of the decoder."""
DROPOUT = 0.2
"""Share of the maps' channels that the decoder does without, at random, in each step."""


@final
class FrozenNet(SegmentationNet):
    """(B, 3, H, W) in [0, 1] → (B, `classes`, H, W) logits; any timm network with feature maps is an encoder.

    The encoder's weights are in checkpoints, so that a trained model needs no weight file.
    """

    def __init__(
        self,
        encoder: str,
        *,
        classes: int,
        image_size: int,
        weights: str = NONE,
        head: HeadName = "decoder",
        heads: int = 1,
    ) -> None:
        """Build the network with `weights` as for a backbone in its encoder.

        Raises:
            S4miError: an unknown encoder, one without feature maps, or weights that are missing or do not fit.
        """
        super().__init__()
        self.stride = patch_size_of(encoder)
        self.encoder = MultiLevelEncoder(
            encoder, image_size=image_size + -image_size % self.stride, weights=weights, frozen=True
        )
        widths = self.encoder.widths
        self.heads = nn.ModuleList(
            TokenDecoder(widths, classes=classes, width=WIDTH, dropout=DROPOUT)
            if head == "decoder"
            else TokenLinear(widths, classes=classes)
            for _ in range(heads)
        )
        freeze_unused(self, image_size=image_size, name=f"frozen/{encoder}")

    def _features(self, images: Tensor) -> list[Tensor]:
        return [images, *self.encoder(images)]

    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        logits = [self.head_logits(head, features) for head in range(len(self.heads))]
        return logits[0] if len(logits) == 1 else mean_logits(*logits)

    def head_logits(self, head: int, features: Sequence[Tensor]) -> Tensor:
        """Logits of one head from `encode`'s feature maps, at the size of the padded images."""
        images, *maps = features
        logits: Tensor = self.heads[head](maps, images)
        return logits
