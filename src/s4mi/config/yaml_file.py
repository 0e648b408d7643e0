"""A file of settings and the `key=value` words after it, before anything is known of what they mean."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from s4mi.errors import S4miError


def read_settings(path: Path, *, first: str) -> dict[str, Any]:
    """The keys and values of a YAML file; `first` is what such a file begins with, for a message.

    Raises:
        S4miError: no such file, no YAML, or no keys in it.
    """
    try:
        contents = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise S4miError(f"{path}: not there; write a run file or take one from studies/") from error
    except OSError as error:
        raise S4miError(f"{path}: cannot be read ({error.strerror}); give a run file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise S4miError(f"{place}: is not YAML ({problem})") from error
    if not isinstance(contents, dict):
        raise S4miError(f"{path}: must hold keys and values, beginning with: {first}")
    return contents


def apply_overrides(contents: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`contents` with each `dotted.key=value` set; values are read as YAML, so `[1, 2]`, `null` and `1e-3` work.

    Raises:
        S4miError: an override without `=`, or one that goes through a value.
    """
    result: dict[str, Any] = json.loads(json.dumps(contents, default=str))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise S4miError(f"{override!r} is no setting; write key=value, e.g. optim.lr=1e-3")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise S4miError(f"{override!r}: the value is not YAML; quote it") from error
        *path, last = key.split(".")
        place = result
        for part in path:
            if part == "method" and isinstance(place.get(part), str):
                place[part] = {"name": place[part]}
            inner = place.get(part)
            if not isinstance(inner, dict | None):
                raise S4miError(f"{override!r}: {part!r} holds {inner!r}, not settings of its own")
            place[part] = inner or {}
            place = place[part]
        place[last] = value
    return result
