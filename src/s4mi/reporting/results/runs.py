"""The finished runs below a folder, as a report reads them."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from s4mi.errors import S4miError
from s4mi.records import (
    CONFIG_NAME,
    MAP_NAME,
    RECORD_NAME,
    STUDY_NAME,
    SUPERSEDED,
    TEST_IMAGES_NAME,
    EpochRecord,
    FeatureMap,
    ImageScores,
    Predictions,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
)
from s4mi.records.external import external_images, external_predictions
from s4mi.records.plain import load_json
from s4mi.reporting.results.arms import with_arms
from s4mi.reporting.results.notes import shortened
from s4mi.reporting.results.per_image import read_image_scores, read_images_table
from s4mi.reporting.results.test_predictions import read_predictions, read_predictions_table

RunKey = tuple[str | int, ...]
"""Identity of a run."""


@dataclass(frozen=True)
class ReportRun:
    """One finished run; `directory` is a label relative to the report's folder, never an absolute path.

    Attributes:
        images: scores of each test image, of segmentation; empty where the run has none.
        predictions: predictions on the test images, of classification; None where the run has none.
        external: the same of each external test set, by its name; only those that have it.
    """

    record: RunRecord
    epochs: tuple[EpochRecord, ...]
    config_text: str
    directory: str
    images: tuple[ImageScores, ...] = ()
    predictions: Predictions | None = None
    external: Mapping[str, "ImageResults"] = field(default_factory=dict)

    def on(self, name: str) -> "ReportRun | None":
        """The run with what an external test set measured in place of its own test part; None where it is unknown."""
        found = self.external.get(name)
        return None if found is None else replace(self, images=found.images, predictions=found.predictions)


@dataclass(frozen=True)
class ImageResults:
    """What was measured on each image of an external test set; see `ReportRun`."""

    images: tuple[ImageScores, ...]
    predictions: Predictions | None


@dataclass(frozen=True)
class PretrainingRun:
    """One finished pre-training run; `feature_map` is None where it has none."""

    record: PretrainingRecord
    epochs: tuple[EpochRecord, ...]
    feature_map: FeatureMap | None
    config_text: str
    directory: str


def run_key(record: RunRecord) -> RunKey:
    """Identity of the run behind a record, also where a comparison has moved it to another column.

    The time alone would not do: short runs of several seeds or arms, or on several versions of a data set, may end in
    the same second.
    """
    identity = (record.config_hash, record.split_hash, record.finished)
    return record.dataset, record.task, record.technique, record.seed, *identity


def runs_by_key(runs: Sequence[ReportRun]) -> dict[RunKey, ReportRun]:
    """Runs by the `run_key` of their records."""
    return {run_key(run.record): run for run in runs}


def load_runs(folder: Path) -> tuple[list[ReportRun], list[str]]:
    """Every finished run at or below `folder`, sorted by directory, and a note on each with unreadable extra files.

    Arms of a study that share a technique are told apart; see `with_arms`. A run whose per-image scores or predictions
    cannot be read counts without them. Runs that are unfinished or have an unreadable record are left to
    `load_unfinished`, pre-training runs to `load_pretrainings`.

    Raises:
        S4miError: no such folder.
    """
    runs: list[ReportRun] = []
    notes: list[str] = []
    for directory, label in run_folders(folder):
        try:
            record = read_any_record(directory)
            if isinstance(record, RunRecord):
                epochs, text = tuple(read_epochs(directory)), config_text(directory)
                images, predictions = _images(directory, label, notes), _predictions(directory, label, notes)
                external = _external(directory, record, label, notes)
                runs.append(ReportRun(record, epochs, text, label, images, predictions, external))
        except (S4miError, OSError):
            continue
    records = with_arms({run.directory: run.record for run in runs})
    runs = [replace(run, record=records[run.directory]) for run in runs]
    return runs, shortened(notes, like="unreadable files")


def load_pretrainings(folder: Path) -> list[PretrainingRun]:
    """Every finished pre-training run at or below `folder`, sorted by directory.

    Unfinished and unreadable runs are left to `load_unfinished`; an unreadable feature map is None.

    Raises:
        S4miError: no such folder.
    """
    runs = []
    for directory, label in run_folders(folder):
        try:
            record = read_any_record(directory)
            if isinstance(record, PretrainingRecord):
                epochs, text = tuple(read_epochs(directory)), config_text(directory)
                runs.append(PretrainingRun(record, epochs, _feature_map(directory), text, label))
        except (S4miError, OSError):
            continue
    return runs


def run_folders(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every run folder, sorted, with its label; those that a study has superseded are skipped."""
    if not folder.is_dir():
        raise S4miError(f"{folder}: no such folder; pass the folder that holds the runs")
    found = {path.parent for name in (RECORD_NAME, CONFIG_NAME) for path in folder.rglob(name)}
    for directory in sorted(found):
        label = directory.relative_to(folder).as_posix()
        if SUPERSEDED in label.split("/"):
            continue
        yield directory, directory.resolve().name if label == "." else label


def planned_runs(folder: Path) -> list[str]:
    """The runs that a study plans or, of any other folder, those that are there; folders below its own.

    Raises:
        S4miError: there is no such folder, or the study file cannot be read.
    """
    path = folder / STUDY_NAME
    try:
        return list(load_json(path.read_text(encoding="utf-8"))["runs"])
    except FileNotFoundError:
        return [str(run.relative_to(folder)) for run, _ in run_folders(folder)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise S4miError(f"{path}: cannot be read ({error}); delete it, the runs beside it are kept") from error


def config_text(directory: Path) -> str:
    """The settings of a run, with absolute paths shortened; empty where they cannot be read."""
    try:
        return shorten_paths((directory / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def _images(directory: Path, label: str, notes: list[str]) -> tuple[ImageScores, ...]:
    """Scores of the test images; empty, with a note added, where they cannot be read."""
    try:
        return read_image_scores(directory)
    except (S4miError, OSError, UnicodeDecodeError, csv.Error) as error:
        notes.append(f"{label}: counted without its per-image scores, {TEST_IMAGES_NAME} cannot be read: {error}")
        return ()


def _predictions(directory: Path, label: str, notes: list[str]) -> Predictions | None:
    """Predictions on the test images; None, with a note added, where they cannot be read."""
    try:
        return read_predictions(directory)
    except (S4miError, OSError, UnicodeDecodeError, csv.Error) as error:
        notes.append(f"{label}: counted without its predictions, which cannot be read: {error}")
        return None


def _external(directory: Path, record: RunRecord, label: str, notes: list[str]) -> dict[str, ImageResults]:
    """What was measured on the images of each external test set; a note is added on those that cannot be read."""
    found = {}
    for name in record.external:
        predicted = directory / external_predictions(name)
        try:
            images = read_images_table(directory / external_images(name))
            predictions = read_predictions_table(predicted) if predicted.exists() else None
        except (S4miError, OSError, UnicodeDecodeError, csv.Error) as error:
            notes.append(f"{label}: results on the images of {name} cannot be read: {error}")
            continue
        if images or predictions is not None:
            found[name] = ImageResults(images, predictions)
    return found


def _feature_map(directory: Path) -> FeatureMap | None:
    try:
        return FeatureMap.model_validate_json((directory / MAP_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


_ABSOLUTE = re.compile(r"""(?<![\w.:/])(?:/|[A-Za-z]:\\)(?:[^\s/\\:;,()'"][^/\\:;,()'"\n]*[/\\])+""")
"""The folders of an absolute path; an address such as `https://…` does not match."""


def shorten_paths(text: str) -> str:
    """`text` with every absolute path cut down to its last part: `…/lesions` for `/home/me/lesions`."""
    return _ABSOLUTE.sub("…/", text)
