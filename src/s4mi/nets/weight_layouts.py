"""Match the tensors of a weight file to a network: find it behind a prefix, and convert the layout of its authors.

What is tried, in this order: the names as they are; the names behind one prefix, such as `backbone.`; numbers of an
`nn.Sequential` for the names of its parts (RadImageNet). Each time timm's own `checkpoint_filter_fn` converts the
layout of the authors of Swin, ConvNeXt and others, and resizes position embeddings. Only a match of all tensors counts.
"""

import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import timm
from torch import Tensor, nn

from s4mi.errors import S4miError

Tensors = dict[str, Tensor]
_FILTERS = ("checkpoint_filter_fn", "pretrained_filter_fn", "_filter_fn", "_filter_torchvision_pretrained")
_SECOND = re.compile(r"student|momentum|encoder_k|target|predictor|discriminator", re.IGNORECASE)
"""Prefixes of networks that their authors do not pass on: of two that fit, the other is used."""


@dataclass(frozen=True)
class Match:
    """The tensors of a file under the names of a network.

    Attributes:
        tensors: converted tensors, those that the network does not have as well. source: the same before timm's filter.
        missing: names of tensors of the network that the file lacks; empty if the file fits.
        prefix: removed from each name. renamed: how names were changed besides, in words; empty: not at all.
        converted: whether timm's filter changed names.
        unused: names in the file that were not used.
    """

    tensors: Tensors
    source: Tensors
    missing: tuple[str, ...]
    prefix: str = ""
    renamed: str = ""
    converted: bool = False
    unused: tuple[str, ...] = ()


def match_weights(
    file: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, path: str, model: nn.Module | None, name: str
) -> Match:
    """Match the tensors of a file to the names and shapes in `expected`, completely if possible.

    Args:
        model: the timm network `name`, for its filter; None if it is not one of timm's.

    Raises:
        S4miError: several networks in the file fit equally.
    """
    # The batch counter of batch normalisation is not a weight, and old files lack it.
    needed = [key for key in expected if not key.endswith("num_batches_tracked")]
    convert = None if model is None else timm_filter(name)
    best: Match | None = None
    complete: list[Match] = []
    for prefix in _prefixes(file, at_least=len(needed) // 2):
        bare = {key.removeprefix(prefix): tensor for key, tensor in file.items() if key.startswith(prefix)}
        for match in _readings(bare, expected, needed, prefix, model=model, convert=convert):
            if best is None or len(match.missing) < len(best.missing):
                best = match
            if not match.missing:
                complete.append(match)
                break
        if complete and not prefix:
            break
    if not complete:
        assert best is not None
        return best
    chosen = [match for match in complete if not _SECOND.search(match.prefix)] or complete
    if len(chosen) > 1:
        found = " and ".join(repr(match.prefix) for match in chosen[:3])
        raise S4miError(f"{path}: holds several networks that fit {name!r}, under {found}; save one of them alone")
    (match,) = chosen
    unused = tuple(key for key in file if not key.startswith(match.prefix)) + tuple(
        match.prefix + key for key in (match.tensors if match.converted else match.source) if key not in expected
    )
    return replace(match, unused=unused)


def timm_filter(name: str) -> Callable[..., Tensors] | None:
    """Timm's conversion of published checkpoints of the network `name`, or None if it needs none."""
    module = sys.modules[timm.model_entrypoint(timm.models.split_model_name_tag(name)[0]).__module__]
    return next((getattr(module, function) for function in _FILTERS if hasattr(module, function)), None)


def _prefixes(file: Mapping[str, Tensor], *, at_least: int) -> list[str]:
    """Prefixes that enough tensors of a file share, the empty one first, then the most common."""
    counts: Counter[str] = Counter()
    for key in file:
        counts.update(key[: found.end()] for found in re.finditer(r"\.", key))
    return ["", *(prefix for prefix, count in counts.most_common() if count >= max(1, at_least))]


def _readings(
    bare: Tensors,
    expected: Mapping[str, Tensor],
    needed: list[str],
    prefix: str,
    *,
    model: nn.Module | None,
    convert: Callable[..., Tensors] | None,
) -> list[Match]:
    """The ways to read tensors without their prefix, as matches that may be incomplete."""
    readings = []
    for source, renamed in ((bare, ""), (_by_number(bare, expected, model), "parts by number")):
        if source is None:
            continue
        converted = _converted(source, model=model, convert=convert)
        for tensors in (converted, source):
            if tensors is None:
                continue
            missing = tuple(key for key in needed if key not in tensors)
            changed = tensors is converted and any(key not in source for key in needed if key in tensors)
            words = ", ".join(filter(None, (renamed, "timm's conversion of its authors' layout" if changed else "")))
            readings.append(Match(tensors, source, missing, prefix, words, changed))
    return readings


def _converted(source: Tensors, *, model: nn.Module | None, convert: Callable[..., Tensors] | None) -> Tensors | None:
    if convert is None:
        return None
    try:
        parameters = len(inspect.signature(convert).parameters)
        result: Any = convert(dict(source), model) if parameters > 1 else convert(dict(source))
    except Exception:  # written for checkpoints of its network, it raises anything on those of others
        return None
    return {key: tensor for key, tensor in result.items() if isinstance(tensor, Tensor)}


def _by_number(bare: Tensors, expected: Mapping[str, Tensor], model: nn.Module | None) -> Tensors | None:
    """Names for numbers: `nn.Sequential(*net.children())` calls the parts of a network 0, 1, 2, …"""
    if model is None or not bare or not all(key.partition(".")[0].isdigit() for key in bare):
        return None
    parts = [name for name, _ in model.named_children()]
    if any(key.partition(".")[0].isdigit() for key in expected):
        return None
    numbers = {str(number): part for number, part in enumerate(parts)}
    named = {}
    for key, tensor in bare.items():
        number, _, rest = key.partition(".")
        if number not in numbers:
            return None
        named[f"{numbers[number]}.{rest}"] = tensor
    return named
