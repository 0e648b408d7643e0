"""Which feature maps of a network a head on frozen features reads, and at which size of the image."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import timm
import torch

from s4mi.errors import S4miError
from s4mi.nets.backbone import TINY, check_backbone, fitting_size
from s4mi.nets.frozen_encoder import FrozenEncoder

MOST_BLOCKS = 4


def default_blocks(name: str) -> tuple[int, ...]:
    """Blocks of the network `name`, counted from the end: four spread over the depth of a ViT, the last four stages.

    Raises:
        S4miError: an unknown network, or one without feature maps.
    """
    count = len(_feature_info(name))
    step = max(1, count // MOST_BLOCKS) if has_one_stride(name) else 1
    return tuple(-1 - number * step for number in range(min(MOST_BLOCKS, count)))


def has_one_stride(name: str) -> bool:
    """Whether all feature maps of the network `name` have the same size, as those of a ViT.

    Raises:
        S4miError: an unknown network, or one without feature maps.
    """
    return len({stride for _, stride in _feature_info(name)}) == 1


def block_widths(name: str, blocks: Sequence[int]) -> tuple[int, ...]:
    """Number of channels of the feature map of each block.

    Raises:
        S4miError: as in `default_blocks`, or the network has no such block.
    """
    info = _feature_info(name)
    for block in blocks:
        if not -len(info) <= block < 0:
            raise S4miError(
                f"method.blocks: {name!r} has {len(info)} blocks or stages, counted from the end as -1 to {-len(info)} "
                f"(given {block})"
            )
    return tuple(info[block][0] for block in blocks)


def frozen_encoders(
    name: str, *, weights: str, image_size: int, sizes: Sequence[int] | None, blocks: Sequence[int] | None
) -> list[FrozenEncoder]:
    """The network `name` as a frozen encoder at each of `sizes`; none: at the one that fits `image_size`.

    Raises:
        S4miError: an unknown network or block, or a weight file that does not exist.
    """
    blocks = default_blocks(name) if blocks is None else blocks
    block_widths(name, blocks)  # checks them
    return [
        FrozenEncoder(name, weights=weights, image_size=size, blocks=blocks)
        for size in sizes or (fitting_size(name, image_size),)
    ]


def _feature_info(name: str) -> list[tuple[int, int]]:
    """Width and stride of the feature map of each block or stage, in their order."""
    found = getattr(_described(name), "feature_info", None) or []
    levels = [(int(level["num_chs"]), int(level["reduction"])) for level in getattr(found, "info", found)]
    if not levels:
        raise S4miError(f"{name!r} does not give the feature maps of its blocks; choose another network")
    return levels


@lru_cache(maxsize=64)
def _described(name: str) -> Any:
    """The network without weights, of which only the description is used."""
    check_backbone(name)
    with torch.device("meta"):
        return TINY[name](image_size=64) if name in TINY else timm.create_model(name, num_classes=0)
