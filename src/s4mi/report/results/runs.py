"""The finished runs below a folder: what each left behind."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from s4mi.errors import S4miError
from s4mi.records import (
    CONFIG_NAME,
    MAP_NAME,
    RECORD_NAME,
    SUPERSEDED,
    TEST_IMAGES_NAME,
    TEST_PREDICTIONS_NAME,
    EpochRecord,
    FeatureMap,
    ImageScores,
    Predictions,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
)
from s4mi.report.results.per_image import read_image_scores
from s4mi.report.results.test_predictions import read_predictions

RunKey = tuple[str | int, ...]
"""What tells runs apart."""


@dataclass(frozen=True)
class ReportRun:
    """One finished run as a report shows it; `directory` is a label relative to the folder, never a machine's path.

    `images` are the scores of each test image, where the run left any, as segmentation does; `predictions` those
    of a classification run, one for each test image.
    """

    record: RunRecord
    epochs: tuple[EpochRecord, ...]
    config_text: str
    directory: str
    images: tuple[ImageScores, ...] = ()
    predictions: Predictions | None = None


@dataclass(frozen=True)
class PretrainingRun:
    """One finished pre-training run as a report shows it; `feature_map` is None where it left none."""

    record: PretrainingRecord
    epochs: tuple[EpochRecord, ...]
    feature_map: FeatureMap | None
    config_text: str
    directory: str


def run_key(record: RunRecord) -> RunKey:
    """Which run a record is of, also where a comparison has moved it to another column.

    Short runs of several seeds, or on several versions of a data set, may end in the same second.
    """
    return record.dataset, record.task, record.seed, record.config_hash, record.split_hash, record.finished


def runs_by_key(runs: Sequence[ReportRun]) -> dict[RunKey, ReportRun]:
    """Runs by the `run_key` of their records."""
    return {run_key(run.record): run for run in runs}


def load_runs(folder: Path) -> tuple[list[ReportRun], list[str]]:
    """Every finished run at or below `folder`, sorted by directory, and a one-line note on each that counts in part.

    A run whose scores of images cannot be read counts without them. One that is not finished or cannot be read is for
    `load_uncounted`: a broken run never hides the others. Pre-training runs are for `load_pretrainings`.

    Raises:
        S4miError: there is no such folder.
    """
    runs: list[ReportRun] = []
    notes: list[str] = []
    for directory, label in run_folders(folder):
        try:
            record = read_any_record(directory)
            if isinstance(record, RunRecord):
                epochs, text = tuple(read_epochs(directory)), config_text(directory)
                images, predictions = _images(directory, label, notes), _answers(directory, label, notes)
                runs.append(ReportRun(record, epochs, text, label, images, predictions))
        except (S4miError, OSError):
            continue
    return runs, notes


def load_pretrainings(folder: Path) -> list[PretrainingRun]:
    """Every finished pre-training run at or below `folder`, sorted by directory.

    What is unfinished or cannot be read is left out here, and for `load_uncounted`. A map of features that cannot be
    read is none.

    Raises:
        S4miError: there is no such folder.
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
    """Every folder of a run, sorted, with its label; those that a study has set aside are not looked at."""
    if not folder.is_dir():
        raise S4miError(f"{folder}: no such folder; give the folder that holds the runs")
    found = {path.parent for name in (RECORD_NAME, CONFIG_NAME) for path in folder.rglob(name)}
    for directory in sorted(found):
        label = directory.relative_to(folder).as_posix()
        if SUPERSEDED in label.split("/"):
            continue
        yield directory, directory.resolve().name if label == "." else label


def config_text(directory: Path) -> str:
    """The settings of a run, without the folders of this machine; empty where they cannot be read."""
    try:
        return without_places((directory / CONFIG_NAME).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def _images(directory: Path, label: str, notes: list[str]) -> tuple[ImageScores, ...]:
    """The scores of test images; where they cannot be read there are none, and a note more."""
    try:
        return read_image_scores(directory)
    except (S4miError, OSError, UnicodeDecodeError, csv.Error) as error:
        notes.append(
            f"{label}: counted without its scores of single images, {TEST_IMAGES_NAME} cannot be read: {error}"
        )
        return ()


def _answers(directory: Path, label: str, notes: list[str]) -> Predictions | None:
    """The predictions to test images; where they cannot be read there are none, and a note more."""
    try:
        return read_predictions(directory)
    except (S4miError, OSError, UnicodeDecodeError, csv.Error) as error:
        notes.append(f"{label}: counted without its predictions, {TEST_PREDICTIONS_NAME} cannot be read: {error}")
        return None


def _feature_map(directory: Path) -> FeatureMap | None:
    try:
        return FeatureMap.model_validate_json((directory / MAP_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


_ABSOLUTE = re.compile(r"""(?<![\w.:/])(?:/|[A-Za-z]:\\)(?:[^\s/\\:;,()'"][^/\\:;,()'"\n]*[/\\])+""")
"""The folders of a path from the root on; an address such as `https://…` is none."""


def without_places(text: str) -> str:
    """`text` with every absolute path cut down to its last part: `…/lesions` for `/home/me/lesions`."""
    return _ABSOLUTE.sub("…/", text)
