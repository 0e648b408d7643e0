"""Convolution/batch-norm folding: in evaluation mode, batch normalisation is merged into the preceding convolution."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4
"""Largest difference between outputs that count as equal, relative to the largest output if that is above 1."""


@dataclass(frozen=True)
class _Pair:
    parent: nn.Module
    first: str
    conv: nn.Conv2d
    second: str
    norm: nn.BatchNorm2d


def fold_batch_norm(network: nn.Module, forward: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """Fold each batch normalisation of `network` that follows a convolution into it; return the number folded.

    The order in which a network calls its modules is unknown. Modules registered one after the other are taken as
    pairs, then the outputs of `forward` for `images` are compared: if they differ, all pairs are restored and 0 is
    returned.
    """
    pairs = [pair for module in network.modules() for pair in _pairs(module)]
    unique = {id(pair.conv) for pair in pairs}, {id(pair.norm) for pair in pairs}
    if not pairs or min(map(len, unique)) < len(pairs):  # a shared module may be called in several orders
        return 0
    with torch.inference_mode():
        before = forward(images)
    for pair in pairs:
        setattr(pair.parent, pair.first, fuse_conv_bn_eval(pair.conv, pair.norm))
        setattr(pair.parent, pair.second, _without_normalisation(pair.norm))
    with torch.inference_mode():
        after = forward(images)
    if bool((after - before).abs().max() <= TOLERANCE * before.abs().max().clamp(min=1)):
        return len(pairs)
    for pair in pairs:
        setattr(pair.parent, pair.first, pair.conv)
        setattr(pair.parent, pair.second, pair.norm)
    return 0


def _pairs(parent: nn.Module) -> Iterator[_Pair]:
    children = list(parent._modules.items())  # named_children would skip a module registered twice
    for (first, conv), (second, norm) in pairwise(children):
        if (
            isinstance(conv, nn.Conv2d)
            and isinstance(norm, nn.BatchNorm2d)
            and not (conv.training or norm.training)
            and norm.running_mean is not None
            and norm.num_features == conv.out_channels
        ):
            yield _Pair(parent, first, conv, second, norm)


def _without_normalisation(norm: nn.BatchNorm2d) -> nn.Module:
    """Return what remains of a layer without its normalisation: timm's layers also apply dropout and activation."""
    after = [getattr(norm, name) for name in ("drop", "act") if isinstance(getattr(norm, name, None), nn.Module)]
    return nn.Sequential(*after) if after else nn.Identity()
