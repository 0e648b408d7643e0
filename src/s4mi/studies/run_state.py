"""What a study keeps in the folder of a run beside what the run itself leaves, and what it finds there.

<run>/log.txt          what the run said, with the traceback of what was not foreseen
      failure.json     why it failed, in one line, and how often; gone once the run has finished
      study_run.json   what makes it this run beside its settings; see `identity.py`
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi import __version__
from s4mi.config import PlannedRun, RunConfig, differences, save_run_config
from s4mi.errors import S4miError
from s4mi.records import (
    CONFIG_NAME,
    FAILURE_NAME,
    LOG_NAME,
    Failure,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
    read_failure,
    write_text_atomically,
)
from s4mi.studies.run_id import NAME, RunIdentity, RunMetadata, write_metadata
from s4mi.training.environment import now
from s4mi.training.run_dir import RunDir

LITTLE = 1 << 20
"""Bytes: a disk with less room is full."""
_BEFORE_TRAINING = {LOG_NAME, FAILURE_NAME, CONFIG_NAME, NAME}


@dataclass(frozen=True)
class RunState:
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


def run_state(planned: PlannedRun, run: Path, *, conflict: str = "") -> RunState:
    """Look into the folder of a run, which is this one if it was ever trained and there is no conflict."""
    if conflict:
        return RunState(planned, conflict=conflict)
    if not has_training_files(run):
        return RunState(planned, failure=read_failure(run))
    if RunDir(run).finished:
        try:
            return RunState(planned, record=read_any_record(run))
        except S4miError as error:
            return RunState(planned, conflict=str(error))
    return RunState(planned, epochs=len(read_epochs(run)), failure=read_failure(run))


def claim(run: Path, config: RunConfig, kept: RunMetadata) -> None:
    """Make the folder one of this run before anything else is written.

    Of one that goes on, what says where and how it is computed may be another than before.
    """
    if not has_training_files(run) or differences(RunDir(run).config(), config):
        save_run_config(config, RunDir(run).config_path)
    write_metadata(run, kept)


def write_failure(run: Path, reason: str) -> None:
    """Put a failed attempt on record."""
    before = read_failure(run)
    failure = Failure(reason=reason, attempts=1 if before is None else before.attempts + 1, when=now())
    write_text_atomically(run / FAILURE_NAME, failure.model_dump_json(indent=2) + "\n")


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


def has_training_files(run: Path) -> bool:
    """Whether the folder holds more than is there before training begins; of hidden files none counts."""
    if not run.is_dir():
        return run.exists()
    return not {path.name for path in run.iterdir() if not path.name.startswith(".")} <= _BEFORE_TRAINING


STUDY_NAME = "study.json"
FORMAT = 2
"""1 had no such file; its runs lie in the same folders and are taken over."""


def check_format(out: Path) -> None:
    """Refuse a study's folder that this version cannot go on with.

    Raises:
        S4miError: it is of another format, or cannot be read.
    """
    path = out / STUDY_NAME
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        number, writer = contents["format"], contents.get("s4mi", "another version")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        line = str(error).splitlines()[0]
        raise S4miError(f"{path}: cannot be read ({line}); delete it, the runs beside it are kept") from error
    if number != FORMAT:
        raise S4miError(
            f"{path}: this study is of format {number}, written by s4mi {writer}, and s4mi {__version__} knows format "
            f"{FORMAT}; go on with the version that wrote it, or choose another folder"
        )


def write_format(out: Path, plan: Sequence[PlannedRun], known: Mapping[str, RunIdentity]) -> None:
    """Put the plan into the folder, unless it is there."""
    runs = {planned.name: known[planned.name].id for planned in plan}
    text = json.dumps({"format": FORMAT, "s4mi": __version__, "runs": runs}, indent=1) + "\n"
    path = out / STUDY_NAME
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)
