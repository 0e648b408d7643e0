"""What a study tells whoever watches it, and what became of each of its runs."""

from collections.abc import Callable
from dataclasses import dataclass

from s4mi.config import PlannedRun
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.training.progress import Progress


@dataclass(frozen=True)
class RunOutcome:
    """What became of a planned run: its record, or in one line why there is none.

    `tried` is false where nothing was run: a run that it needs has failed, or its folder holds something else.
    `left_out`: nothing is wrong with it, there was no time.
    """

    planned: PlannedRun
    record: RunRecord | PretrainingRecord | None
    failure: str = ""
    tried: bool = True
    left_out: bool = False


@dataclass(frozen=True)
class StudyChecked:
    """All runs are known, and which of them were finished before.

    `note` says if that was with other versions, `moved` what was set aside or taken back; `left` are the seconds of the
    budget, None where there is none.
    """

    plan: tuple[PlannedRun, ...]
    finished: tuple[RunOutcome, ...]
    note: str | None = None
    moved: tuple[str, ...] = ()
    left: float | None = None


@dataclass(frozen=True)
class RunStarted:
    """A run begins, or goes on from its checkpoint; `attempt` counts from 1."""

    planned: PlannedRun
    attempt: int


@dataclass(frozen=True)
class RunProgress:
    """A run is so far."""

    planned: PlannedRun
    progress: Progress


@dataclass(frozen=True)
class AttemptFailed:
    """A run has failed and will be tried again when nothing else is ready."""

    planned: PlannedRun
    reason: str


@dataclass(frozen=True)
class RunEnded:
    """Nothing more will be done about a run."""

    outcome: RunOutcome


@dataclass(frozen=True)
class StudyStopping:
    """The study was asked to stop, and waits for its runs to end a step."""


Event = StudyChecked | RunStarted | RunProgress | AttemptFailed | RunEnded | StudyStopping
EventHandler = Callable[[Event], None]
