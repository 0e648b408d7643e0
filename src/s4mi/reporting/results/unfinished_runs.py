"""Runs without a result: failed, unfinished or unreadable ones, with reason and progress."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import (
    LOG_NAME,
    RECORD_NAME,
    EpochRecord,
    Failure,
    read_any_record,
    read_epochs,
    read_failure,
)
from s4mi.records.plain import PlainError, load_yaml
from s4mi.reporting.results.pretraining import collapsed
from s4mi.reporting.results.runs import config_text, run_folders, shorten_paths

_LOG_LINES = 12
_TIMES = {1: "once", 2: "twice"}


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without a readable record; `directory` is a label relative to the report's folder.

    Attributes:
        reason: why it failed or is unreadable, in one line; for an unfinished run, a feature collapse if detected.
        attempts: number of failed attempts. epochs: number of finished epochs. planned: number of epochs in its
            settings, or None.
        when: time of the last failure. log: last lines of its log.
    """

    directory: str
    state: Literal["failed", "unfinished", "unreadable"]
    reason: str
    attempts: int
    epochs: int
    planned: int | None
    when: str
    config_text: str
    log: str

    @property
    def status(self) -> str:
        """`failed twice`."""
        if self.state == "failed":
            return f"failed {_TIMES.get(self.attempts, f'{self.attempts} times')}"
        return self.state

    @property
    def progress(self) -> str:
        """`3 of 20 epochs`, or `3 epochs` if the planned number is unknown."""
        if self.planned is None:
            return plural(self.epochs, "epoch")
        return f"{self.epochs} of {self.planned} epochs"

    @property
    def line(self) -> str:
        """State, progress and reason in one line, for a terminal."""
        if self.state == "unreadable":
            return f"{self.directory}: not included, {RECORD_NAME} is unreadable: {self.reason}"
        if self.state == "failed":
            return f"{self.directory}: not included, {self.status} (after {self.progress}): {self.reason}"
        reason = f"; {self.reason}" if self.reason else ""
        return (
            f"{self.directory}: not included, unfinished (after {self.progress}{reason}); "
            "resume it with: s4mi train --resume"
        )


def load_unfinished(folder: Path) -> list[UnfinishedRun]:
    """Return every unfinished or unreadable run at or below `folder`, sorted by directory.

    Raises:
        S4miError: no such folder.
    """
    runs = (_unfinished(directory, label) for directory, label in run_folders(folder))
    return [run for run in runs if run is not None]


def summary(runs: Sequence[UnfinishedRun]) -> str:
    """Number of runs per state in one sentence; empty without any."""
    counts: Counter[str] = Counter(run.state for run in runs)
    texts = {"failed": "failed", "unfinished": "unfinished", "unreadable": "with an unreadable record"}
    parts = [f"{counts[state]} {text}" for state, text in texts.items() if counts[state]]
    if not parts:
        return ""
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    verb = "is" if len(runs) == 1 else "are"
    return f"{plural(len(runs), 'run')} in this folder {verb} not included: {listed}."


def _unfinished(directory: Path, label: str) -> UnfinishedRun | None:
    """State of a run; None if it is finished."""
    failure: Failure | None = None
    state: Literal["failed", "unfinished", "unreadable"] = "unfinished"
    epochs, text = _epochs(directory), config_text(directory)
    reason = _collapse(epochs)
    if (directory / RECORD_NAME).exists():
        try:
            read_any_record(directory)
            return None
        except (S4miError, OSError) as error:
            state, reason = "unreadable", str(error).removeprefix(f"{directory / RECORD_NAME}: ")
    elif (failure := read_failure(directory)) is not None:
        state, reason = "failed", failure.reason
    return UnfinishedRun(
        directory=label,
        state=state,
        reason=shorten_paths(reason),
        attempts=0 if failure is None else failure.attempts,
        epochs=len(epochs),
        planned=_planned(text),
        when="" if failure is None else failure.when,
        config_text=text,
        log=_log(directory),
    )


def _epochs(directory: Path) -> list[EpochRecord]:
    try:
        return read_epochs(directory)
    except OSError:
        return []


def _planned(text: str) -> int | None:
    """Number of epochs in the settings, or None."""
    try:
        settings: Any = load_yaml(text)
    except PlainError:
        return None
    epochs = settings.get("epochs") if isinstance(settings, dict) else None
    return epochs if isinstance(epochs, int) else None


def _collapse(epochs: Sequence[EpochRecord]) -> str:
    """The feature collapse of a pre-training run at its last measurement; empty if there is none."""
    health = [epoch.health for epoch in epochs if epoch.health is not None]
    symptoms = collapsed(health[-1].features) if health else ""
    return f"the features of {symptoms}" if symptoms else ""


def _log(directory: Path) -> str:
    """The last lines of the log, with absolute paths shortened."""
    try:
        lines = (directory / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return shorten_paths("\n".join(lines[-_LOG_LINES:]))
