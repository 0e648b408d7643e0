"""Weights in the settings of a method: what identifies them, and `auto`, which is resolved where it is asked for."""

import re
from pathlib import Path
from typing import Any

from s4mi.config.choice import value_of
from s4mi.contract import AUTO, MethodConfig, NetworkKind
from s4mi.home import expanded
from s4mi.nets.initial_weights import IMAGENET, NONE, file_hash
from s4mi.nets.network_names import Library, encoder_of

NAMED = re.compile(r"[\w.]+=")
"""NAME=FILE of `method.join`."""


def with_absolute_files(method: MethodConfig) -> MethodConfig:
    """Return settings whose weight files are found from any folder: a run of frozen features needs them again."""
    settings = [*method.weight_settings(), "join"]
    given = {name: value for name in settings if (value := value_of(method, name)) is not None}
    return method.model_copy(update={name: _absolute(value) for name, value in given.items()})


def _absolute(weights: Any) -> Any:
    if not isinstance(weights, str):
        return type(weights)(_absolute(each) for each in weights) if isinstance(weights, list | tuple) else weights
    name, joined, file = weights.partition("=") if NAMED.match(weights) else ("", "", weights)
    path = expanded(file)
    return f"{name}{joined}{path.absolute()}" if path.is_file() else weights


def identified(weights: Any) -> Any:
    """What identifies weights: of a file that is there its content, else its name, but never its folder."""
    if not isinstance(weights, str):
        return [identified(each) for each in weights] if isinstance(weights, list | tuple) else weights
    if NAMED.match(weights):
        name, _, file = weights.partition("=")
        return f"{name}={identified(file)}"
    path = Path(weights)
    if weights in (IMAGENET, NONE, AUTO):
        return weights
    return f"content {file_hash(path)}" if path.is_file() else path.name


def network_identity(name: str, kind: NetworkKind) -> tuple[str, Library] | None:
    """Name and library of the network that weights of a setting's network are for; None: it has none of either."""
    if kind != "segmenter":
        return name, "timm"
    found = encoder_of(name)
    return None if found is None else (found[1], found[0])
