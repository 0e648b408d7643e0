"""What a study keeps in the folder of a run beside what the run itself leaves, and what it finds there.

<run>/log.txt        what the run said, with the traceback of what was not foreseen
      failure.json   why it failed, in one line, and how often; gone once the run has finished
"""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from s4mi.config import PlannedRun, RunConfig, save_run_config
from s4mi.errors import S4miError
from s4mi.recipes.run_dir import RunDir
from s4mi.recipes.session import check_folder
from s4mi.recipes.study_worker import LOG_NAME
from s4mi.recipes.surroundings import now
from s4mi.records import (
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
    write_text_atomically,
)
from s4mi.records.scores import Frozen

FAILURE_NAME = "failure.json"
LITTLE = 1 << 20
"""Bytes: a disk with less room is full."""
_BEFORE_TRAINING = {LOG_NAME, FAILURE_NAME, "config.yaml"}


class Failure(Frozen):
    """Why a run has failed the last time, how often it has, and when."""

    reason: str
    attempts: int
    when: str


@dataclass(frozen=True)
class Standing:
    """How far a planned run is.

    Attributes:
        record: of a finished run. epochs: finished ones of a run that is not.
        failure: of the last attempt, if it failed. conflict: why its folder is not for this run, or empty.
    """

    planned: PlannedRun
    record: RunRecord | PretrainingRecord | None = None
    epochs: int = 0
    failure: Failure | None = None
    conflict: str = ""


def standing_of(planned: PlannedRun, out: Path) -> Standing:
    """Look into the folder of a run."""
    run_dir = RunDir(out / planned.name)
    if not _trained(run_dir.path):
        return Standing(planned, failure=read_failure(run_dir.path))
    try:
        check_folder(run_dir, planned.config, resume=True)
        if run_dir.finished:
            return Standing(planned, record=read_any_record(run_dir.path))
    except S4miError as error:
        return Standing(planned, conflict=str(error))
    return Standing(planned, epochs=len(read_epochs(run_dir.path)), failure=read_failure(run_dir.path))


def claim(run: Path, config: RunConfig) -> None:
    """Make the folder one of this run before anything else is written; the settings of one never trained may change."""
    if not _trained(run):
        save_run_config(config, RunDir(run).config_path)


def write_failure(run: Path, reason: str) -> None:
    """Put a failed attempt on record."""
    before = read_failure(run)
    failure = Failure(reason=reason, attempts=1 if before is None else before.attempts + 1, when=now())
    write_text_atomically(run / FAILURE_NAME, failure.model_dump_json(indent=2) + "\n")


def read_failure(run: Path) -> Failure | None:
    """The last failure, or None; a file that cannot be read is none."""
    try:
        return Failure.model_validate_json((run / FAILURE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def forget_failure(run: Path) -> None:
    """The run has ended well."""
    (run / FAILURE_NAME).unlink(missing_ok=True)


def disk_is_full(error: BaseException, run: Path) -> bool:
    """Whether it was, or came of, a write for which there was no room; `run` is what was written to."""
    full = (errno.ENOSPC, errno.EDQUOT)
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in full:
            return True
        if any(os.strerror(number) in str(one) for number in full):  # safetensors keeps the words and loses the number
            return True
    return not isinstance(error, S4miError) and shutil.disk_usage(run).free < LITTLE  # torch.save loses both


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _trained(run: Path) -> bool:
    """Whether the folder holds more than is there before training begins; of hidden files none counts."""
    if not run.is_dir():
        return run.exists()
    return not {path.name for path in run.iterdir() if not path.name.startswith(".")} <= _BEFORE_TRAINING
