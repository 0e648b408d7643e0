"""Finished runs that no longer fit a data set once images are erased from it.

The identity of a run in a study is that of its own data set and of that of the pre-training it starts from, so these
alone decide; an image of which another data set holds a copy stays in that data set.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s4mi.records import CONFIG_NAME, RECORD_NAME, STUDY_RUN_NAME
from s4mi.records.checkpoint_files import PRETRAINING
from s4mi.records.plain import load_json, load_yaml


def is_outdated(run: Path, dataset: Path) -> bool:
    """Whether a run is finished, and on the data set, itself or in the pre-training that it starts from."""
    return (run / RECORD_NAME).is_file() and dataset.resolve() in {path.resolve() for path in _datasets(run)}


def _datasets(run: Path) -> Iterator[Path]:
    settings = _read(run / CONFIG_NAME)
    start, in_study = None, _read(run / STUDY_RUN_NAME)
    if in_study is not None:
        start = in_study.get("start")
    if start is None and (in_study is None or (run / PRETRAINING).exists()):  # of older studies, too
        pretrained = _value(settings, "method", "pretrained")
        start = None if pretrained is None else _read(Path(pretrained) / CONFIG_NAME)
    for found in (settings, start):
        path = _value(found, "data", "path")
        if path is not None:
            yield Path(path)


def _value(settings: Any, section: str, name: str) -> str | None:
    """A text in a section of settings; None if there is none, or they are damaged."""
    try:
        value = settings[section][name]
    except (KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _read(path: Path) -> dict[str, Any] | None:
    """Settings, or None if they are missing or damaged."""
    load = load_yaml if path.name == CONFIG_NAME else load_json
    try:
        contents = load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return contents if isinstance(contents, dict) else None
