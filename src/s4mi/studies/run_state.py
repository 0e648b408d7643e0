"""State of a planned run on disk, and the files that a study adds to the folder of a run.

<run>/log.txt          log of the run, with the traceback of unexpected errors
      failure.json     reason and number of failed attempts; deleted once the run has finished
      study_run.json   metadata that identify the run together with its settings; see `run_id.py`
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s4mi import __version__
from s4mi.config import PlannedRun, RunConfig, StudyConfig, differences, save_run_config
from s4mi.config.study_defaults import DEFAULTS, with_defaults
from s4mi.errors import S4miError
from s4mi.records import (
    CONFIG_NAME,
    FAILURE_NAME,
    LOG_NAME,
    STUDY_NAME,
    STUDY_RUN_NAME,
    Failure,
    PretrainingRecord,
    RunRecord,
    read_any_record,
    read_epochs,
    read_failure,
    write_text_atomically,
)
from s4mi.records.plain import load_json
from s4mi.studies.run_id import RunIdentity, RunMetadata, write_metadata
from s4mi.training.external_state import pending_tests
from s4mi.training.installed import now
from s4mi.training.run_dir import RunDir

MIN_FREE = 1 << 20
"""Free bytes below which a disk counts as full."""
_WRITTEN_BEFORE_TRAINING = {LOG_NAME, FAILURE_NAME, CONFIG_NAME, STUDY_RUN_NAME}


@dataclass(frozen=True)
class RunState:
    """State of a planned run.

    Attributes:
        record: of a finished run.
        untested: names of the external test sets on which a finished run has not been scored yet.
        epochs: finished epochs of an unfinished run.
        failure: the last attempt, if it failed.
        conflict: why the folder cannot be used for this run, or empty.
    """

    planned: PlannedRun
    record: RunRecord | PretrainingRecord | None = None
    epochs: int = 0
    failure: Failure | None = None
    conflict: str = ""
    untested: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.record is not None and not self.untested


def run_state(planned: PlannedRun, run: Path, *, conflict: str = "") -> RunState:
    """Read the state of a planned run from its folder; `conflict` is the reason why that cannot be used."""
    if conflict:
        return RunState(planned, conflict=conflict)
    if not has_training_files(run):
        return RunState(planned, failure=read_failure(run))
    if RunDir(run).finished:
        try:
            record = read_any_record(run)
        except S4miError as error:
            return RunState(planned, conflict=str(error))
        untested = pending_tests(planned.config, run, record) if isinstance(record, RunRecord) else []
        return RunState(planned, record=record, epochs=planned.config.epochs, untested=tuple(untested))
    return RunState(planned, epochs=len(read_epochs(run)), failure=read_failure(run))


def claim_folder(run: Path, config: RunConfig, metadata: RunMetadata) -> None:
    """Write settings and metadata into the folder of a run before anything else is written there.

    A run that is resumed may have other settings of where and how it is computed than before.
    """
    if not has_training_files(run) or differences(RunDir(run).config(), config):
        save_run_config(config, RunDir(run).config_path)
    write_metadata(run, metadata)


def write_failure(run: Path, reason: str) -> None:
    """Record a failed attempt."""
    before = read_failure(run)
    failure = Failure(reason=reason, attempts=1 if before is None else before.attempts + 1, when=now())
    write_text_atomically(run / FAILURE_NAME, failure.model_dump_json(indent=2) + "\n")


def clear_failure(run: Path) -> None:
    """Delete the record of failed attempts of a run that has finished."""
    (run / FAILURE_NAME).unlink(missing_ok=True)


def disk_is_full(error: BaseException, run: Path) -> bool:
    """Whether an error was caused by writing to a full disk; `run` is the folder that was written to."""
    codes = (errno.ENOSPC, errno.EDQUOT)
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in codes:
            return True
        if any(os.strerror(code) in str(cause) for code in codes):  # safetensors keeps the text and loses the number
            return True
    return not isinstance(error, S4miError) and shutil.disk_usage(run).free < MIN_FREE  # torch.save loses both


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def has_training_files(run: Path) -> bool:
    """Whether the folder holds visible files other than those written before training."""
    if not run.is_dir():
        return run.exists()
    return not {path.name for path in run.iterdir() if not path.name.startswith(".")} <= _WRITTEN_BEFORE_TRAINING


FORMAT = 2
"""Format 1 had no such file; its run folders are the same and can be used."""


def check_study_format(out: Path) -> None:
    """Check that this version can use the folder of a study.

    Raises:
        S4miError: it has another format, or its study file cannot be read.
    """
    path = out / STUDY_NAME
    try:
        contents = load_json(path.read_text(encoding="utf-8"))
        number, writer = contents["format"], contents.get("s4mi", "of another version")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        line = str(error).splitlines()[0]
        raise S4miError(f"{path}: cannot be read ({line}); delete it, the runs beside it are kept") from error
    if number != FORMAT:
        raise S4miError(
            f"{path}: format {number}, written by s4mi {writer}, is not supported by s4mi {__version__} (format "
            f"{FORMAT}); use the version that wrote it, or choose another folder"
        )


def as_begun(study: StudyConfig, out: Path) -> StudyConfig:
    """Return the study with the defaults that it was begun with in the folder `out`, so that its runs stay its runs."""
    return with_defaults(study, defaults_of(out))


def defaults_of(out: Path) -> int:
    """Return the number of the defaults that the study in a folder was begun with; the current ones if there is none.

    Versions before the second defaults stored no number, and the first ones no file.
    """
    try:
        return int(load_json((out / STUDY_NAME).read_text(encoding="utf-8")).get("defaults", 1))
    except (FileNotFoundError, NotADirectoryError):
        begun = next((out / "runs").glob(f"*/{CONFIG_NAME}"), None) or next(out.glob(f"*/runs/*/{CONFIG_NAME}"), None)
        return DEFAULTS if begun is None else _defaults_of_run(begun.parent)
    except (OSError, ValueError, TypeError, AttributeError):
        return DEFAULTS  # `check_study_format` says what is wrong with it


def older_defaults(out: Path) -> str:
    """Return a sentence on the defaults of a study that was begun with older ones, or an empty text."""
    if defaults_of(out) >= DEFAULTS:
        return ""
    return (
        f"{out}: begun with older defaults, which it keeps: each seed has a test part of its own, and validation "
        "labels do not count; for the newer ones choose another folder, or set resample, labels and selection"
    )


def _defaults_of_run(run: Path) -> int:
    try:
        config = RunDir(run).config()
    except S4miError:
        return 1
    return DEFAULTS if config.split.test_seed is not None or config.labels.count_validation else 1


def write_study_file(out: Path, plan: Sequence[PlannedRun], identities: Mapping[str, RunIdentity]) -> None:
    """Write the format, the defaults and the ids of the planned runs into the study's folder, unless unchanged."""
    runs = {planned.name: identities[planned.name].id for planned in plan}
    contents = {"format": FORMAT, "s4mi": __version__, "defaults": defaults_of(out), "runs": runs}
    text = json.dumps(contents, indent=1) + "\n"
    path = out / STUDY_NAME
    if not path.exists() or path.read_bytes() != text.encode():
        write_text_atomically(path, text)
