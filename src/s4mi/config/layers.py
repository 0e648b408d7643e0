"""Nested settings merged layer by layer; later layers take precedence."""

from collections.abc import Iterable, Iterator
from typing import Any

Settings = dict[str, Any]


def merged(settings: Settings, overrides: Settings) -> Settings:
    """Return `settings` of a run overridden by `overrides`, section by section.

    A method given as a plain name counts as a section. Selecting another method replaces the whole section, because
    its settings belong to the method. `steps` and `epochs` replace each other; see `without_other_length`.
    """
    return _merged(without_other_length(settings, overrides), overrides)


def without_other_length(settings: Settings, overrides: Settings) -> Settings:
    """Return `settings` without `steps` if `overrides` set `epochs` alone, and without `epochs` the other way round.

    With `epochs` goes the length of the cosine schedule, which counts such epochs.
    """
    if ("steps" in overrides) == ("epochs" in overrides):
        return settings
    if "epochs" in overrides:
        return {key: value for key, value in settings.items() if key != "steps"}
    if overrides["steps"] is None or "epochs" not in settings:
        return settings
    kept = {key: value for key, value in settings.items() if key != "epochs"}
    if isinstance(kept.get("optim"), dict):
        kept["optim"] = {key: value for key, value in kept["optim"].items() if key != "cosine_epochs"}
    return kept


def _merged(settings: Settings, overrides: Settings) -> Settings:
    result = dict(settings)
    for key, value in overrides.items():
        below, above = result.get(key), value
        if key == "method":
            below, above = ({"name": side} if isinstance(side, str) else side for side in (below, above))
            if (
                isinstance(below, dict)
                and isinstance(above, dict)
                and above.get("name", below.get("name")) != below.get("name")
            ):
                below = None
        result[key] = _merged(below, above) if isinstance(below, dict) and isinstance(above, dict) else above
    return result


def stacked(layers: Iterable[Settings]) -> Settings:
    """Return all layers merged, each overriding those before it."""
    result: Settings = {}
    for layer in layers:
        result = merged(result, layer)
    return result


def name_of_method(settings: Settings) -> str:
    """Return the name of the method that settings select, or an empty string."""
    method = settings.get("method")
    return str((method.get("name") or "") if isinstance(method, dict) else method or "")


def leaves(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each setting with its dotted name, e.g. `optim.lr`."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
