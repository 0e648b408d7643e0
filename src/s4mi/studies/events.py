"""What a study tells whoever watches it, and what became of each of its runs."""

from collections.abc import Callable
from dataclasses import dataclass

from s4mi.config import PlannedRun
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.training.progress import Progress


@dataclass(frozen=True)
class Outcome:
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
class Looked:
    """All runs are known, and which of them were finished before.

    `note` says if that was with other versions, `moved` what was set aside or taken back; `left` are the seconds of the
    budget, None where there is none.
    """

    plan: tuple[PlannedRun, ...]
    finished: tuple[Outcome, ...]
    note: str | None = None
    moved: tuple[str, ...] = ()
    left: float | None = None


@dataclass(frozen=True)
class Begun:
    """A run begins, or goes on from its checkpoint; `attempt` counts from 1."""

    planned: PlannedRun
    attempt: int


@dataclass(frozen=True)
class Moved:
    """A run is so far."""

    planned: PlannedRun
    progress: Progress


@dataclass(frozen=True)
class Failed:
    """A run has failed and will be tried again when nothing else is ready."""

    planned: PlannedRun
    reason: str


@dataclass(frozen=True)
class Ended:
    """Nothing more will be done about a run."""

    outcome: Outcome


@dataclass(frozen=True)
class Stopping:
    """The study was asked to stop, and waits for its runs to end a step."""


Event = Looked | Begun | Moved | Failed | Ended | Stopping
Tell = Callable[[Event], None]
