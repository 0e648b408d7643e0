"""Settings that lie over each other, section by section."""

from collections.abc import Iterable, Iterator
from typing import Any

Settings = dict[str, Any]


def merged(settings: Settings, more: Settings) -> Settings:
    """`settings` with `more` laid over it.

    A method given by its name is a section too; one of another name takes the place of all that was there.
    """
    result = dict(settings)
    for key, value in more.items():
        below, above = result.get(key), value
        if key == "method":
            below, above = ({"name": side} if isinstance(side, str) else side for side in (below, above))
            if (
                isinstance(below, dict)
                and isinstance(above, dict)
                and above.get("name", below.get("name")) != below.get("name")
            ):
                below = None
        result[key] = merged(below, above) if isinstance(below, dict) and isinstance(above, dict) else above
    return result


def stacked(layers: Iterable[Settings]) -> Settings:
    """Each layer over those before."""
    result: Settings = {}
    for layer in layers:
        result = merged(result, layer)
    return result


def name_of_method(settings: Settings) -> str:
    """The method that settings name, or an empty word."""
    method = settings.get("method")
    return str((method.get("name") or "") if isinstance(method, dict) else method or "")


def leaves(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting with the name that an override has, such as `optim.lr`."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
