"""The runs below a folder: what each left behind, and which never finished."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from s4mi.errors import S4miError
from s4mi.records import (
    MAP_NAME,
    RECORD_NAME,
    TEST_IMAGES_NAME,
    EpochRecord,
    FeatureMap,
    ImageScores,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
)
from s4mi.report.collapse import collapsed
from s4mi.report.per_image import read_image_scores

CONFIG_NAME = "config.yaml"


@dataclass(frozen=True)
class ReportRun:
    """One finished run as a report shows it; `directory` is a label relative to the folder, never a machine's path.

    `images` are the scores of each test image, where the run left any: a segmentation run does.
    """

    record: RunRecord
    epochs: tuple[EpochRecord, ...]
    config_text: str
    directory: str
    images: tuple[ImageScores, ...] = ()


@dataclass(frozen=True)
class PretrainingRun:
    """One finished pre-training run as a report shows it; `feature_map` is None where it left none."""

    record: PretrainingRecord
    epochs: tuple[EpochRecord, ...]
    feature_map: FeatureMap | None
    config_text: str
    directory: str


def load_runs(folder: Path) -> tuple[list[ReportRun], list[str]]:
    """Every finished run at or below `folder`, sorted by directory, and a one-line note on each that is not.

    A folder with a `config.yaml` and no `record.json` is a run that has not finished. A record that cannot be read
    becomes a note too: one broken run never hides the others; one whose scores of images cannot be read counts
    without them. Pre-training runs are for `load_pretrainings`.

    Raises:
        S4miError: there is no such folder.
    """
    runs, notes = [], []
    for directory, label in _directories(folder):
        if not (directory / RECORD_NAME).exists():
            notes.append(_unfinished(directory, label))
            continue
        try:
            record = read_any_record(directory)
            if isinstance(record, RunRecord):
                epochs, text = tuple(read_epochs(directory)), _config_text(directory)
                runs.append(ReportRun(record, epochs, text, label, _images(directory, label, notes)))
        except (S4miError, OSError, UnicodeDecodeError) as error:
            problem = str(error).removeprefix(f"{directory / RECORD_NAME}: ")
            notes.append(f"{label}: left out, {RECORD_NAME} cannot be read: {problem}")
    return runs, notes


def load_pretrainings(folder: Path) -> list[PretrainingRun]:
    """Every finished pre-training run at or below `folder`, sorted by directory.

    What is unfinished or cannot be read is left out here; `load_runs` has a note on it. A map of features that cannot
    be read is none.

    Raises:
        S4miError: there is no such folder.
    """
    runs = []
    for directory, label in _directories(folder):
        try:
            record = read_any_record(directory)
            if isinstance(record, PretrainingRecord):
                epochs, text = tuple(read_epochs(directory)), _config_text(directory)
                runs.append(PretrainingRun(record, epochs, _feature_map(directory), text, label))
        except (S4miError, OSError, UnicodeDecodeError):
            continue
    return runs


def _directories(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every folder of a run, sorted, with its label."""
    if not folder.is_dir():
        raise S4miError(f"{folder}: no such folder; give the folder that holds the runs")
    found = {path.parent for name in (RECORD_NAME, CONFIG_NAME) for path in folder.rglob(name)}
    for directory in sorted(found):
        label = directory.relative_to(folder).as_posix()
        yield directory, directory.resolve().name if label == "." else label


def _config_text(directory: Path) -> str:
    config = directory / CONFIG_NAME
    return config.read_text(encoding="utf-8") if config.exists() else ""


def _images(directory: Path, label: str, notes: list[str]) -> tuple[ImageScores, ...]:
    """The scores of test images; where they cannot be read there are none, and a note more."""
    try:
        return read_image_scores(directory)
    except (S4miError, OSError, UnicodeDecodeError, csv.Error) as error:
        notes.append(
            f"{label}: counted without its scores of single images, {TEST_IMAGES_NAME} cannot be read: {error}"
        )
        return ()


def _feature_map(directory: Path) -> FeatureMap | None:
    try:
        return FeatureMap.model_validate_json((directory / MAP_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def _unfinished(directory: Path, label: str) -> str:
    try:
        epochs = read_epochs(directory)
    except (OSError, UnicodeDecodeError):
        epochs = []
    so_far = f"{len(epochs)} epoch{'' if len(epochs) == 1 else 's'} so far"
    looks = [epoch.health for epoch in epochs if epoch.health is not None]
    if looks and (ill := collapsed(looks[-1].features)):
        so_far += f"; the features of {ill}"
    return f"{label}: not finished ({so_far}) and not counted; finish it with: s4mi train --resume"
