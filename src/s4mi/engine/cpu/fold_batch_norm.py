"""Batch normalisation that has stopped learning is a scaling: it goes into the weights of the convolution before it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-4
"""Answers that differ by no more than this, relative to the largest where that is above 1, are the same."""


@dataclass(frozen=True)
class _Pair:
    parent: nn.Module
    first: str
    conv: nn.Conv2d
    second: str
    norm: nn.BatchNorm2d


def fold_batch_norm(network: nn.Module, give: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """Fold every batch normalisation of `network` that stands behind a convolution into it; returns how many.

    A network does not say in which order it calls its parts. Those that stand one behind the other are taken for a
    pair, and then what `give` answers to `images` is compared: where it differs everything is put back, and 0 returned.
    """
    pairs = [pair for module in network.modules() for pair in _pairs(module)]
    alone = {id(pair.conv) for pair in pairs}, {id(pair.norm) for pair in pairs}
    if not pairs or min(map(len, alone)) < len(pairs):  # one that stands at two places may be called in two orders
        return 0
    with torch.inference_mode():
        before = give(images)
    for pair in pairs:
        setattr(pair.parent, pair.first, fuse_conv_bn_eval(pair.conv, pair.norm))
        setattr(pair.parent, pair.second, _rest(pair.norm))
    with torch.inference_mode():
        after = give(images)
    if bool((after - before).abs().max() <= TOLERANCE * before.abs().max().clamp(min=1)):
        return len(pairs)
    for pair in pairs:
        setattr(pair.parent, pair.first, pair.conv)
        setattr(pair.parent, pair.second, pair.norm)
    return 0


def _pairs(parent: nn.Module) -> Iterator[_Pair]:
    children = list(parent._modules.items())  # named_children would skip one that stands here twice
    for (first, conv), (second, norm) in pairwise(children):
        if (
            isinstance(conv, nn.Conv2d)
            and isinstance(norm, nn.BatchNorm2d)
            and not (conv.training or norm.training)
            and norm.running_mean is not None
            and norm.num_features == conv.out_channels
        ):
            yield _Pair(parent, first, conv, second, norm)


def _rest(norm: nn.BatchNorm2d) -> nn.Module:
    """What a normalisation does beside normalising: timm's activate as well."""
    after = [getattr(norm, name) for name in ("drop", "act") if isinstance(getattr(norm, name, None), nn.Module)]
    return nn.Sequential(*after) if after else nn.Identity()
