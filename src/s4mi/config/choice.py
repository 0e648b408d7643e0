"""What a setting given as `auto` was resolved to, and how settings of networks and weights are read."""

from typing import Any

from pydantic import Field

from s4mi.config.sections import Section
from s4mi.contract import MethodConfig


class Choice(Section):
    """What a setting given as `auto` was resolved to."""

    value: str = Field(description="Value that was chosen for a setting given as auto")
    why: str = Field(description="Reason for the choice, such as the file that was found")


def value_of(method: MethodConfig, setting: str) -> Any:
    return getattr(method, setting, None)


def each_of(value: Any) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
