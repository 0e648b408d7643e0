"""Events of a running study, and the outcome of each of its runs."""

from collections.abc import Callable
from dataclasses import dataclass

from s4mi.config import PlannedRun
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.training.progress import Progress


@dataclass(frozen=True)
class RunOutcome:
    """Outcome of a planned run: its record, or in one line the reason why there is none.

    Attributes:
        attempted: False if it was skipped, a run that it depends on failed, or its folder is in use.
        skipped: the budget was too small for it or for a run that it depends on, which is not a failure.
        unsupported: it was skipped because its labels do not suffice; no budget changes that.
    """

    planned: PlannedRun
    record: RunRecord | PretrainingRecord | None
    reason: str = ""
    attempted: bool = True
    skipped: bool = False
    unsupported: bool = False

    @property
    def failed(self) -> bool:
        """Whether it has no record although there was time for it."""
        return self.record is None and not self.skipped


@dataclass(frozen=True)
class StudyChecked:
    """All runs are planned, and those finished earlier are known.

    Attributes:
        version_note: which finished runs were made with other versions, or None.
        moved: a line for each kind of run folder that was set aside or restored.
        seconds_left: of the budget; None without a budget.
    """

    plan: tuple[PlannedRun, ...]
    finished: tuple[RunOutcome, ...]
    version_note: str | None = None
    moved: tuple[str, ...] = ()
    seconds_left: float | None = None


@dataclass(frozen=True)
class RunStarted:
    """A run starts, or resumes from its checkpoint; `attempt` counts from 1, `epochs` were finished before."""

    planned: PlannedRun
    attempt: int
    epochs: int = 0


@dataclass(frozen=True)
class RunProgress:
    """Progress of a run under way."""

    planned: PlannedRun
    progress: Progress


@dataclass(frozen=True)
class AttemptFailed:
    """An attempt failed; the run will be retried when no other run is ready."""

    planned: PlannedRun
    reason: str


@dataclass(frozen=True)
class RunPostponed:
    """A run was stopped, as it would exceed the budget; it goes on if there is time for it later."""

    planned: PlannedRun
    reason: str


@dataclass(frozen=True)
class RunEnded:
    """A run is finished, skipped or given up."""

    outcome: RunOutcome


@dataclass(frozen=True)
class StudyStopping:
    """The study was asked to stop and waits until its runs have completed their current step."""


Event = StudyChecked | RunStarted | RunProgress | AttemptFailed | RunPostponed | RunEnded | StudyStopping
EventHandler = Callable[[Event], None]
