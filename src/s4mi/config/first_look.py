"""A first look at the settings of a run or study, before torch is imported, which takes seconds.

It names a missing file, an unknown setting and a missing data set at once. Validation, which follows, knows the
settings' classes; this knows their names, as `docs/generate.py` writes them to `setting_names.json`, and refuses
nothing that validation accepts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from s4mi.config.hints import hint, innermost
from s4mi.config.layers import name_of_method
from s4mi.config.packaged_studies import study_path
from s4mi.config.yaml_file import apply_overrides, read_settings
from s4mi.data.spec import read_spec
from s4mi.errors import S4miError
from s4mi.home import expanded

NAMES = "setting_names.json"
STUDY = "study"
FREE = frozenset({"auto", "loggers", "tests"})
"""Sections whose keys the user names, or that have short forms."""
EARLIER = frozenset({"method.linear_probe"})
"""Settings of earlier versions, which are still read."""


@cache
def setting_names() -> dict[str, list[str]]:
    """The names of all settings: of every run under "", of a study under "study", of a method under its name."""
    names: dict[str, list[str]] = json.loads((files("s4mi.config") / NAMES).read_text(encoding="utf-8"))
    return names


def look_at_run(path: Path, overrides: Sequence[str] = (), *, data: bool = True) -> None:
    """Check the file, the names of the settings and, if `data`, that there is a data set, and a run to start from.

    Raises:
        S4miError: the file cannot be read, a setting is unknown, the data set has no valid `dataset.yaml`, or there is
            no folder `method.pretrained`.
    """
    contents = apply_overrides(read_settings(path, first="data: {path: …}"), overrides)
    unknown = unknown_setting(contents)
    if unknown:
        raise S4miError(f"{path}: {unknown}")
    folder = contents["data"].get("path") if isinstance(contents.get("data"), dict) else None
    if data and isinstance(folder, str):
        look_at_dataset(expanded(folder).absolute())
    method = contents.get("method")
    start = method.get("pretrained") if isinstance(method, dict) else None
    if data and isinstance(start, str):
        look_at_start(expanded(start))


def look_at_study(path: Path, overrides: Sequence[str] = ()) -> None:
    """Check the file, and the names of settings outside the techniques, which have names of their own.

    Raises:
        S4miError: the file cannot be read, or a setting is unknown.
    """
    contents = apply_overrides(read_settings(study_path(path), first="data: {path: …}"), overrides)
    known = setting_names()[STUDY]
    for setting, value in _settings(contents, {"data", "split"}):
        if setting not in known:
            setting = innermost(setting, value)
            raise S4miError(f"{path}: unknown setting {setting}{hint(setting, known)}")


def look_at_dataset(folder: Path) -> None:
    """Raise `S4miError` if a data set has no valid `dataset.yaml`."""
    findings = read_spec(folder)[1]
    if findings:
        raise S4miError(f"{folder / findings[0].location}: {findings[0].message}")


def look_at_start(folder: Path) -> None:
    """Raise `S4miError` if the folder of the pre-training run to start from does not exist."""
    if not folder.is_dir():
        raise S4miError(
            f"method.pretrained: {folder} does not exist; pre-train first, with: s4mi train RUN.yaml -o {folder}, or "
            "set method.pretrained=null"
        )


def unknown_setting(contents: Mapping[str, Any]) -> str:
    """What is said of the first setting of a run that no method has; empty if all are known."""
    names, method = setting_names(), name_of_method(dict(contents))
    ours = method in names
    known = [*names[""], *(f"method.{name}" for name in names[method])] if ours else names[""]
    sections = {name.rpartition(".")[0] for name in known}
    for setting, value in _settings(contents, sections):
        free = setting.partition(".")[0] in FREE or (setting.startswith("method.") and not ours)
        if setting not in known and setting not in EARLIER and not free:
            setting = innermost(setting, value)
            return f"unknown setting {setting}{hint(setting, known) or _of_method(setting, method)}"
    return ""


def _of_method(setting: str, method: str) -> str:
    return f" for {method}" if setting.startswith("method.") else ""


def _settings(contents: Mapping[str, Any], sections: set[str], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted names and values of the settings in `contents`, which are read into where there is such a section."""
    for key, value in contents.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name in sections:
            yield from _settings(value, sections, f"{name}.")
        else:
            yield name, value
