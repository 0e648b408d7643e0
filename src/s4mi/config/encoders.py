"""The table of encoders: what timm knows of a network, and which weights of it are at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import timm
from torch import nn

from s4mi.config.at_hand import at_hand
from s4mi.config.automatic import folders
from s4mi.config.best_networks import BEST
from s4mi.errors import S4miError, nearest
from s4mi.nets.backbone import patch_size
from s4mi.nets.initial_weights import NONE
from s4mi.nets.published_weights import pretrained_cfg, published
from s4mi.nets.weights import without_head

MOST = 60
"""Rows of a table; more networks match most filters than anyone reads."""

SELF_ATTENTION = ("attention", "attn", "mhsa", "gpsa", "shsa", "litemla")
"""Parts of the names of timm's layers of self-attention."""
GATES = {
    "SplitAttn", "SelectiveKernelAttn", "SpatialAttn", "LightSpatialAttn", "ChannelAttn", "LightChannelAttn",
    "SpatialAttention", "AttentionPool2d", "RotAttentionPool2d",
}  # fmt: skip
"""Layers called attention that weight channels or positions of a CNN, or only pool its last feature map."""
OTHER_KINDS = {"MlpMixer": "MLP", "Sequencer2d": "LSTM"}


@dataclass(frozen=True)
class EncoderRow:
    """An encoder of timm.

    Attributes:
        kind: "CNN", "transformer", "MLP" or "LSTM". parameters: without the head.
        size: side in pixels of the images it was trained on. multiple: of what image sides must be multiples.
        mean, std: per channel, of its input. licence: of its published weights; empty: not stated.
        at_hand: where its weights are, in words; empty: nowhere.
    """

    name: str
    kind: str
    parameters: int
    size: int
    multiple: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    at_hand: str


def encoder_names(pattern: str | None = None) -> list[str]:
    """Names of timm's networks that contain `pattern`, or match it if it has a `*`; without one, those `auto` tries.

    Raises:
        S4miError: none does.
    """
    if pattern is None:
        return list(dict.fromkeys([*BEST["encoder"], *BEST["cnn"], *BEST["transformer"]]))
    names: list[str] = timm.list_models()
    wanted = pattern if "*" in pattern else f"*{pattern}*"
    found = [name for name in names if fnmatchcase(name, wanted)]
    if not found:
        raise S4miError(f"no encoder matches {pattern!r}{nearest(pattern, names)}; pass a part of a timm name")
    return found


def encoder_rows(names: Sequence[str]) -> list[EncoderRow]:
    """One row per network; none is computed or downloaded."""
    return [_row(name) for name in names]


def _row(name: str) -> EncoderRow:
    net, cfg, source = without_head(name), pretrained_cfg(name), published(name)
    found = at_hand(name, "timm", folders=folders())
    return EncoderRow(
        name=name,
        kind=OTHER_KINDS.get(type(net).__name__) or ("transformer" if _has_attention(net) else "CNN"),
        parameters=sum(parameter.numel() for parameter in net.parameters()),
        size=0 if cfg is None else cfg.input_size[-1],
        multiple=patch_size(net),
        mean=() if cfg is None else tuple(cfg.mean),
        std=() if cfg is None else tuple(cfg.std),
        licence="" if source is None else source.licence,
        at_hand="" if found.value == NONE else found.why,
    )


def _has_attention(net: nn.Module) -> bool:
    """Whether positions attend to each other in a network, hybrids of convolutions and attention included."""
    names = {type(module).__name__ for module in net.modules()} - GATES
    return any(word in name.lower() for name in names for word in SELF_ATTENTION)
