"""Settings files and `key=value` overrides, before validation."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s4mi.config.layers import without_other_length
from s4mi.errors import S4miError
from s4mi.records.plain import PlainError, load_yaml


def read_settings(path: Path, *, first: str) -> dict[str, Any]:
    """Read the keys and values of a YAML file.

    Args:
        first: how such a file starts, for the error message.

    Raises:
        S4miError: the file does not exist, cannot be read, is not valid YAML or contains no keys.
    """
    try:
        contents = load_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise S4miError(f"{path}: file not found; write a run file or copy one from studies/") from error
    except OSError as error:
        raise S4miError(f"{path}: cannot be read ({error.strerror}); pass a run file") from error
    except UnicodeDecodeError as error:
        raise S4miError(f"{path}: byte {error.start} is not valid UTF-8; save the file as UTF-8") from error
    except PlainError as error:
        place = str(path) if error.line is None else f"{path}:{error.line}"
        raise S4miError(f"{place}: not valid YAML ({error.problem}); fix the file") from error
    if not isinstance(contents, dict):
        raise S4miError(f"{path}: must contain keys and values, starting with: {first}")
    return contents


def apply_overrides(contents: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of `contents` with each `dotted.key=value` set.

    Values are parsed as YAML, so that `[1, 2]`, `null` and `1e-3` work. `steps=…` alone replaces `epochs` of the same
    section, and the other way round.

    Raises:
        S4miError: an override has no `=` or no valid YAML value, or addresses a key below a plain value.
    """
    try:
        result: dict[str, Any] = json.loads(json.dumps(contents, default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise S4miError(f"settings: {error}; use names, numbers and lists of these") from error
    parsed = [_parse(override) for override in overrides]
    for path in {path for path, _, _ in parsed}:
        _drop_other_length(result, path, {last: value for other, last, value in parsed if other == path})
    for override, (path, last, value) in zip(overrides, parsed, strict=True):
        section = result
        for part in path:
            if part == "method" and isinstance(section.get(part), str):
                section[part] = {"name": section[part]}
            inner = section.get(part)
            if not isinstance(inner, dict | None):
                raise S4miError(f"{override!r}: {part!r} is the value {inner!r}, not a section; set {part} itself")
            section[part] = inner or {}
            section = section[part]
        section[last] = value
    return result


def _parse(override: str) -> tuple[tuple[str, ...], str, Any]:
    """Return the sections above a key, the key, and its value."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise S4miError(f"{override!r} is not a valid override; write key=value, e.g. optim.lr=1e-3")
    try:
        value = load_yaml(text)
    except PlainError as error:
        raise S4miError(f"{override!r}: the value is not valid YAML ({error.problem}); quote it") from error
    *path, last = key.split(".")
    return tuple(path), last, value


def _drop_other_length(contents: dict[str, Any], path: Sequence[str], values: dict[str, Any]) -> None:
    """Drop `epochs` from the section at `path` if `values` set `steps` there, or the other way round."""
    section: Any = contents
    for part in path:
        section = section.get(part) if isinstance(section, dict) else None
    if isinstance(section, dict):
        kept = dict(without_other_length(section, values))
        section.clear()
        section.update(kept)
