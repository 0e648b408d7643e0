"""Record files in a run folder."""

import json
from pathlib import Path

from pydantic import ValidationError

from s4mi.errors import S4miError
from s4mi.records.atomic import write_text_atomically
from s4mi.records.plain import load_json
from s4mi.records.run import EpochRecord, PretrainingRecord, RunRecord

RECORD_NAME = "record.json"
CONFIG_NAME = "config.yaml"
WEIGHTS_NAME = "checkpoints/best.safetensors"
"""The weights of the best epoch; torch, which reads them, is not needed to see whether they are there."""
MAP_NAME = "feature_map.json"
METRICS_NAME = "metrics.jsonl"
SPLIT_NAME = "split.json"
STUDY_NAME = "study.json"
"""File in the folder of a study that lists its planned runs."""
STUDY_RUN_NAME = "study_run.json"
"""File in the folder of a run that its study has trained."""
SUPERSEDED = "superseded"
"""Subfolder of a study with runs whose settings have changed since; they are not counted."""


def finished_runs(folder: Path) -> list[Path]:
    """Return the sorted folders of all finished runs at or below `folder`, except those that a study has superseded."""
    found = (path.parent for path in folder.rglob(RECORD_NAME))
    return sorted(run for run in found if SUPERSEDED not in run.relative_to(folder).parts)


def write_record(record: RunRecord | PretrainingRecord, run_dir: Path) -> None:
    """Write `record.json` into `run_dir`, atomically."""
    write_text_atomically(run_dir / RECORD_NAME, record.model_dump_json(indent=2) + "\n")


def read_record(run_dir: Path) -> RunRecord:
    """Read `record.json` of a run that trained a classifier or segmenter.

    Raises:
        S4miError: the run is not finished, its record has another format, or it is a pre-training run.
    """
    record = read_any_record(run_dir)
    if isinstance(record, PretrainingRecord):
        raise S4miError(
            f"{run_dir}: a {record.method} run learns features and makes no predictions; fine-tune it first: "
            f"s4mi train RUN.yaml method.pretrained={run_dir}"
        )
    return record


def read_pretraining(run_dir: Path) -> PretrainingRecord:
    """Read `record.json` of a pre-training run.

    Raises:
        S4miError: the run is not finished, its record has another format, or it is not a pre-training run.
    """
    record = read_any_record(run_dir)
    if isinstance(record, RunRecord):
        raise S4miError(f"{run_dir}: a {record.method} run is not pre-training; pass the folder of e.g. a dino run")
    return record


def read_any_record(run_dir: Path) -> RunRecord | PretrainingRecord:
    """Read `record.json` of a run of any kind.

    Raises:
        S4miError: the run is not finished, or its record has another format.
    """
    path = run_dir / RECORD_NAME
    try:
        text = path.read_text(encoding="utf-8")
        pretrains = load_json(text).get("kind") == "pretraining"
    except (FileNotFoundError, NotADirectoryError) as error:
        raise S4miError(_not_finished(run_dir)) from error
    except UnicodeDecodeError as error:
        raise S4miError(f"{path}: damaged (byte {error.start} is not valid text); train the run again") from error
    except (json.JSONDecodeError, AttributeError):
        pretrains = False  # validation below reports what is wrong
    try:
        return (PretrainingRecord if pretrains else RunRecord).model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise S4miError(f"{path}: {place or 'file'}: {problem['msg']}; was it written by another version?") from error


def _not_finished(run_dir: Path) -> str:
    """Say whether a folder without a record is an unfinished run, no run, or does not exist."""
    if not run_dir.is_dir():
        return f"{run_dir}: no such folder; pass the folder of a finished run"
    if not (run_dir / CONFIG_NAME).exists():
        return f"{run_dir}: not a run (no {CONFIG_NAME} in it); pass the folder of a finished run"
    return (
        f"{run_dir / RECORD_NAME}: not found, so this is not a finished run; finish it with: "
        f"s4mi train RUN.yaml -o {run_dir} --resume"
    )


def read_epochs(run_dir: Path) -> list[EpochRecord]:
    """Read the epochs in `metrics.jsonl`, oldest first, without a line left incomplete by a killed process."""
    path = run_dir / METRICS_NAME
    if not path.exists():
        return []
    epochs = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            epochs.append(EpochRecord.model_validate(load_json(line)))
        except (json.JSONDecodeError, ValidationError):
            break
    return epochs
