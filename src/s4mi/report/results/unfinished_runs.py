"""The runs that no number of a report counts: why each has failed, how far it is, or that it cannot be read."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from s4mi.errors import S4miError
from s4mi.records import (
    LOG_NAME,
    RECORD_NAME,
    EpochRecord,
    Failure,
    read_any_record,
    read_epochs,
    read_failure,
)
from s4mi.report.results.pretraining import collapsed
from s4mi.report.results.runs import config_text, run_folders, shorten_paths

_LOG_LINES = 12
_TIMES = {1: "once", 2: "twice"}


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without a record that can be read; `directory` is a label relative to the report's folder.

    Attributes:
        reason: why it failed or cannot be read, in one line; of an unfinished run what ails it, if known.
        attempts: that have failed. epochs: finished ones. planned: of how many, where its settings say so.
        when: of the last failure. log: the end of what it said.
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
        return "not finished" if self.state == "unfinished" else "cannot be read"

    @property
    def so_far(self) -> str:
        """`3 of 20 epochs`, or that there is none."""
        if self.planned is None:
            return f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}"
        return f"{self.epochs} of {self.planned} epochs"

    @property
    def line(self) -> str:
        """All of it in one line, for a terminal."""
        if self.state == "unreadable":
            return f"{self.directory}: left out, {RECORD_NAME} cannot be read: {self.reason}"
        if self.state == "failed":
            return f"{self.directory}: {self.status} ({self.so_far} so far) and not counted: {self.reason}"
        ill = f"; {self.reason}" if self.reason else ""
        return (
            f"{self.directory}: not finished ({self.so_far} so far{ill}) and not counted; "
            "finish it with: s4mi train --resume"
        )


def load_unfinished(folder: Path) -> list[UnfinishedRun]:
    """Every run at or below `folder` that is not finished or cannot be read, sorted by directory.

    Raises:
        S4miError: there is no such folder.
    """
    found = (_uncounted(directory, label) for directory, label in run_folders(folder))
    return [run for run in found if run is not None]


def summary(runs: Sequence[UnfinishedRun]) -> str:
    """How many there are of each kind, in one sentence; empty where there is none."""
    counts: Counter[str] = Counter(run.state for run in runs)
    words = {"failed": "failed", "unfinished": "not finished", "unreadable": "with a record that cannot be read"}
    told = [f"{count} {words[state]}" for state in words if (count := counts[state])]
    if not told:
        return ""
    listed = " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'} of this folder {_is(runs)} not counted: {listed}."


def _is(runs: Sequence[UnfinishedRun]) -> str:
    return "is" if len(runs) == 1 else "are"


def _uncounted(directory: Path, label: str) -> UnfinishedRun | None:
    failure: Failure | None = None
    state: Literal["failed", "unfinished", "unreadable"] = "unfinished"
    epochs, text = _epochs(directory), config_text(directory)
    reason = _ill(epochs)
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
    """The epochs that the settings ask for."""
    try:
        settings: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    epochs = settings.get("epochs") if isinstance(settings, dict) else None
    return epochs if isinstance(epochs, int) else None


def _ill(epochs: Sequence[EpochRecord]) -> str:
    """What the health of a pre-training run says against it."""
    looks = [epoch.health for epoch in epochs if epoch.health is not None]
    ill = collapsed(looks[-1].features) if looks else ""
    return f"the features of {ill}" if ill else ""


def _log(directory: Path) -> str:
    """The last lines of the log, without the folders of this machine."""
    try:
        lines = (directory / LOG_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return shorten_paths("\n".join(lines[-_LOG_LINES:]))
