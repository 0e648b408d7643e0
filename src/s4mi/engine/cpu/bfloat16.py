"""Forward passes in bfloat16 on a CPU that multiplies in it.

    convolutions, linear layers    in bfloat16, by autocast; in transformers prepacked
    the last layer                 in float32, so that logits are not rounded to the 8 bits of bfloat16
    everything else                as autocast has it

Measured with one thread on a processor with AVX-512 BF16, 16 images of 224 pixels, against float32 with batch
normalisation folded: ResNet-50 2.3 times as fast, ResNet-34 U-Net 2.1, ViT-S/16 2.1, ConvNeXt-T 2.1, DenseNet-121 1.9,
EfficientNet-B0 1.4 (docs/decisions/0029).
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from s4mi.engine.cpu.frozen_network import has_bfloat16
from s4mi.engine.cpu.prepacked_linear import prepack_linear

LEAST_WEIGHTS = 2_000_000
"""Weights of a network below which bfloat16 gains nothing: MobileNetV3-S, with 1.5 million, is as fast in float32."""
ROWS = 16 * 197
"""Tokens of a usual batch."""


def gains_from_bfloat16(network: nn.Module) -> bool:
    """Whether bfloat16 is faster: this processor multiplies in it, and the network is large enough."""
    return has_bfloat16() and sum(weight.numel() for weight in network.parameters()) >= LEAST_WEIGHTS


def in_bfloat16(
    network: nn.Module, forward: str, images: Tensor, *, shared: Mapping[int, Any] | None = None
) -> Callable[[Tensor], Tensor]:
    """Return the method `forward` of a copy of a network, computed in bfloat16: (B, 3, S, S) → float32.

    For inference on a CPU alone; batch normalisation should have been folded before.

    Args:
        forward: name of a method of the network, such as `logits`.
        images: a small batch, to find the last layer with.
        shared: objects by their `id` that hooks of the copy use too, instead of copies of them.
    """
    last = _last_layer(network, forward, images)
    copied = copy.deepcopy(network, dict(shared or {}))
    if last:
        parent, _, name = last.rpartition(".")
        setattr(copied.get_submodule(parent), name, _InFloat32(copied.get_submodule(last)))
    for module in copied.modules():
        if isinstance(module, VisionTransformer | Eva):
            prepack_linear(module, torch.bfloat16, rows=ROWS)
            for block in module.modules():
                if hasattr(block, "fused_attn"):
                    block.fused_attn = False  # torch's fused attention is slower than its three steps in bfloat16
    compute = getattr(copied, forward)

    def computed(images: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            output: Tensor = compute(images)
        return output.float()

    return computed


@final
class _InFloat32(nn.Module):
    """A layer outside autocast."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            y: Tensor = self.layer(x.float())
        return y


def _last_layer(network: nn.Module, forward: str, images: Tensor) -> str:
    """Name of the convolution or linear layer that is called last; empty if there is none."""
    called: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: called.append(name))
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.inference_mode():
            getattr(network, forward)(images)
    finally:
        for hook in hooks:
            hook.remove()
    return called[-1] if called else ""
