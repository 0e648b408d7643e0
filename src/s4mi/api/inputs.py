"""What callers may pass: paths as strings or objects, settings as a mapping or as `key=value` strings."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from s4mi.errors import S4miError
from s4mi.home import expanded

StrPath = str | os.PathLike[str]
"""A path as a string, a `pathlib.Path`, or anything that stands for a folder, such as a `Dataset` or a `Run`."""
Settings = Mapping[str, object] | Sequence[str]
"""Settings that replace those of a file: `{"optim.lr": 1e-3}`, or `["optim.lr=1e-3"]` as on the command line."""


def as_path(given: StrPath) -> Path:
    """`given` as a path, with `~` expanded.

    Raises:
        S4miError: it is not a path.
    """
    if not isinstance(given, str | os.PathLike):
        raise S4miError(f"expected a path, got {type(given).__name__} ({_short(given)})")
    return expanded(given)


def shown_path(path: Path) -> str:
    """`path` for people: relative to the current folder, if it is below that."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) and path != here else str(path)


def as_paths(given: StrPath | Iterable[StrPath]) -> list[Path]:
    """One path or several, as a list.

    Raises:
        S4miError: there is none, or one of them is not a path.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str | os.PathLike)
    paths = [as_path(one) for one in given] if several else [as_path(given)]  # type: ignore[union-attr,arg-type]
    if not paths:
        raise S4miError("expected at least one path, got an empty list")
    return paths


def as_overrides(settings: Settings | None) -> list[str]:
    """Settings as `key=value` strings, which is how files of settings are overridden.

    Raises:
        S4miError: they are neither a mapping nor strings.
    """
    if settings is None:
        return []
    if isinstance(settings, str):
        return [settings]
    if isinstance(settings, Mapping):
        return [f"{key}={_yaml(value)}" for key, value in settings.items()]
    if isinstance(settings, Sequence) and all(isinstance(one, str) for one in settings):
        return list(settings)
    raise S4miError(f"settings: expected a mapping or a list of 'key=value' strings, got {_short(settings)}")


def as_mapping(settings: Mapping[str, object]) -> dict[str, Any]:
    """The contents of a file of settings, given as a mapping whose keys may be dotted.

    Raises:
        S4miError: a dotted key goes through a value.
    """
    from s4mi.config import apply_overrides

    return apply_overrides({}, as_overrides(settings))


def one_of(name: str, given: str, known: Sequence[str]) -> str:
    """`given`, if it is one of `known`.

    Raises:
        S4miError: it is not; the nearest is named.
    """
    from s4mi.errors import nearest

    if given not in known:
        raise S4miError(f"unknown {name} {given!r}{nearest(given, known)}; choose from {', '.join(known)}")
    return given


def _yaml(value: object) -> str:
    """A value in one line of YAML, which is read back as the same value."""
    import yaml

    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=math.inf)
    return text.removesuffix("...\n").strip()


def _plain(value: object) -> object:
    """A value in types that YAML has: paths become strings, tuples lists, scalars of NumPy numbers."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset | range):
        return [_plain(one) for one in value]
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", None) == 0:
        return item()  # of NumPy's float64, which is a float that YAML does not know, too
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    raise S4miError(f"settings: {_short(value)} is a {type(value).__name__}; use numbers, strings, lists or mappings")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
