"""Attention roll-out (Abnar & Zuidema 2020): how much the class token of a ViT draws on each patch, over all blocks.

    A_l   mean over heads of the attention of block l, (N, N), each row summing to 1
    R     Π_l ½ (A_l + I),   the last block first
    map   row of the class token in R, at the patch tokens; without a class token the mean over the patch tokens

It is the same for all classes. timm's blocks use fused attention, which never holds A; it is switched off during the
forward pass, and the output of `attn_drop`, which is A in evaluation mode, is recorded.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import Classifier
from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone


@dataclass(frozen=True)
class AttentionBlocks:
    """The attention modules of a plain ViT, in order.

    Attributes:
        prefix: number of leading tokens without a spatial position.
        class_token: whether the first of them is the class token.
        positions: number of patch tokens.
    """

    modules: tuple[nn.Module, ...]
    prefix: int
    class_token: bool
    positions: int


def find_attention(method: Classifier) -> AttentionBlocks:
    """Return the attention of a classifier with one plain ViT.

    Raises:
        S4miError: it has none, or one whose attention is not between all tokens.
    """
    backbones = [module for module in method.modules() if isinstance(module, Backbone)]
    net: Any = backbones[0].net if len(backbones) == 1 else None
    blocks = getattr(net, "blocks", None)
    prefix = getattr(net, "num_prefix_tokens", None)
    found = [getattr(block, "attn", None) for block in blocks] if isinstance(blocks, nn.Sequential) else []
    modules = tuple(one for one in found if isinstance(getattr(one, "attn_drop", None), nn.Module) and one is not None)
    if prefix is None or not modules or len(modules) < len(found):
        raise _no_attention(net)
    like = next(net.parameters())
    side = backbones[0].image_size  # that of a frozen encoder may be another than the run's
    image = torch.zeros(1, 3, side, side, dtype=like.dtype, device=like.device)
    with torch.no_grad(), _recorded(modules) as attention:
        net.forward_features(image)
    sizes = {tuple(one.shape[-2:]) for one in attention}
    tokens = max(sizes)[0] if sizes else 0
    positions = tokens - prefix
    if len(attention) != len(modules) or sizes != {(tokens, tokens)} or math.isqrt(positions) ** 2 != positions:
        raise _no_attention(net)
    return AttentionBlocks(
        modules, prefix, class_token=getattr(net, "cls_token", None) is not None, positions=positions
    )


def attention_rollout(forward: Callable[[Tensor], Tensor], images: Tensor, *, blocks: AttentionBlocks) -> Tensor:
    """Attention roll-out of a forward pass, upsampled bilinearly: (B, 3, H, W) → (B, H, W), not negative."""
    maps = []
    for image in images[:, None]:  # one at a time, as attention takes N² of memory
        with torch.no_grad(), _recorded(blocks.modules) as attention:
            forward(image)
        identity = torch.eye(attention[0].shape[-1], device=image.device)
        rolled = identity
        for one in attention:
            rolled = (one + identity) / 2 @ rolled
        rows = rolled[:1] if blocks.class_token else rolled[blocks.prefix :]
        side = math.isqrt(blocks.positions)
        maps.append(rows.mean(dim=0)[blocks.prefix :].reshape(1, 1, side, side))
    size = (images.shape[2], images.shape[3])
    return F.interpolate(torch.cat(maps), size=size, mode="bilinear", align_corners=False)[:, 0]


@contextmanager
def _recorded(modules: tuple[nn.Module, ...]) -> Iterator[list[Tensor]]:
    """Record the attention (N, N) of a single image in each module, the mean over heads; not fused meanwhile."""
    attention: list[Tensor] = []

    def record(_: nn.Module, __: Any, output: Tensor) -> None:
        attention.append(output[0].float().mean(dim=0))

    fused = [getattr(module, "fused_attn", None) for module in modules]
    hooks = [module.get_submodule("attn_drop").register_forward_hook(record) for module in modules]
    try:
        for module, flag in zip(modules, fused, strict=True):
            if flag is not None:
                module.fused_attn = False  # type: ignore[assignment]
        yield attention
    finally:
        for hook in hooks:
            hook.remove()
        for module, flag in zip(modules, fused, strict=True):
            if flag is not None:
                module.fused_attn = flag


def _no_attention(net: nn.Module | None) -> S4miError:
    name = "a method without one network" if net is None else type(net).__name__
    return S4miError(f"attention roll-out needs a plain ViT, not {name}; leave attention_rollout out")
