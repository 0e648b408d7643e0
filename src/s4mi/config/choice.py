"""What a setting given as `auto` was resolved to, and how settings of networks and weights are read."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from s4mi.config.sections import Section
from s4mi.contract import MethodConfig

NOWHERE = "no file, none in a cache, and none that can be downloaded now"


@dataclass(frozen=True)
class AtHand:
    """Weights of a network: the value of its setting, and where they are, in words."""

    value: str
    why: str


class Choice(Section):
    """What a setting given as `auto` was resolved to."""

    value: str = Field(description="Value that was chosen for a setting given as auto")
    why: str = Field(description="Reason for the choice, such as the file that was found")


def value_of(method: MethodConfig, setting: str) -> Any:
    """Value of a setting; None if the method has none of this name."""
    return getattr(method, setting, None)


def each_of(value: Any) -> tuple[str, ...]:
    """Networks or weights of a setting that takes one or several."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def pairs_of(networks: Any, weights: Any) -> list[tuple[str, str]]:
    """Each network with its weights; weights given once are for all."""
    names, given = each_of(networks), each_of(weights)
    return list(zip(names, given * len(names) if len(given) == 1 else given, strict=True))
