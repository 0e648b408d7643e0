"""Which parts of a frozen network may compute in bfloat16 with little change of its features.

    transformers   the MLPs; not the attention with its projections, where errors of few tokens reach all others
    CNNs           everything after the first stage, whose rounding errors would pass through all others

Least cosine similarity to float32 at 224 pixels of ViT-S/14 (DINOv2-derived) on 660 dermoscopic and fundus images and
of ResNet-50 (ImageNet) on 24: 0.99991 and 0.99997, while the whole network in bfloat16 has 0.9992 and 0.9996
(docs/decisions/0029).
"""

from typing import final

import torch
from torch import Tensor, nn

EXACT = ("attn",)
"""Names of the modules of transformers that compute in float32."""
FIRST_STAGE = 4
"""Stride in pixels of the feature map up to which a CNN computes in float32."""


def lower_after_first_stage(network: nn.Module, dtype: torch.dtype) -> None:
    """Convert, in place, what follows the first stage of a timm CNN to `dtype`.

    Modules are taken to be called in the order in which they are registered, so the caller must compare the outputs.

    Raises:
        AttributeError: the network does not say where its first stage ends.
    """
    path = next(str(each["module"]) for each in network.feature_info if each["reduction"] == FIRST_STAGE)  # type: ignore[union-attr]
    parent = network
    levels: list[list[tuple[nn.Module, str]]] = []
    for name in path.split("."):
        names = [each for each, _ in parent.named_children()]
        levels.append([(parent, each) for each in names[names.index(name) + 1 :]])
        parent = parent.get_submodule(name)
    after = [each for level in reversed(levels) for each in level]
    for holder, name in after:
        holder.get_submodule(name).to(dtype)
    holder, name = after[0]
    holder.add_module(name, Converted(holder.get_submodule(name), dtype))


@final
class Converted(nn.Module):
    """A module whose input is converted to a precision."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self._dtype = module, dtype

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.module(x.to(self._dtype))
        return y
