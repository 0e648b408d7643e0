"""Time budget of a study: time spent so far, and which pending runs still fit.

Only time in which at least one run is active counts, and runs that are active together share it. Each run stores its
share in its folder, so that a later call knows what is left; a run that is set aside gives its share back.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from s4mi.config import PlannedRun
from s4mi.formatting import duration
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.studies.cost_model import CostModel
from s4mi.training.progress import Progress

DEFAULT_OVERHEAD = 1.0
"""Seconds that a run takes beside training, such as scoring, until runs have been measured."""
TRIAL = 5.0
"""Seconds that a run trains before its own estimate of the remaining time is trusted."""
TOLERANCE = 1.1
"""A run is stopped if its estimate exceeds the remaining budget by this factor."""


@dataclass
class _ActiveRun:
    planned: PlannedRun
    started: float
    share: float = 0.0


class Budget:
    """Time budget that learns from finished and active runs which others fit.

    Args:
        seconds: budget of the whole study; None: unlimited.
        spent: seconds spent on each run in earlier calls, by name.
    """

    def __init__(self, seconds: float | None, spent: Mapping[str, float]) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds - sum(spent.values())
        self._spent = dict(spent)
        self._cost_model = CostModel()
        self._overheads: list[float] = []
        self._active: dict[str, _ActiveRun] = {}
        self._shared_until = time.monotonic()

    @property
    def seconds_left(self) -> float | None:
        """Remaining seconds, at least 0; None if unlimited."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def add_record(self, planned: PlannedRun, record: RunRecord | PretrainingRecord) -> None:
        """Learn from a run that was finished in an earlier call."""
        self._cost_model.add_record(planned.config, record)

    def reason_to_skip(
        self, planned: PlannedRun, *, epochs_done: int = 0, dependents: Iterable[PlannedRun] = ()
    ) -> str | None:
        """Return why the remaining budget is too small for a run, or None if it fits.

        A run that only `dependents` need must leave time for the shortest of them. A run without an estimate may start
        and is watched; see `overruns`.
        """
        left = self.seconds_left
        if left is None:
            return None
        seconds = self._estimate(planned, epochs_done=epochs_done)
        later = [estimate for other in dependents if (estimate := self._estimate(other)) is not None]
        if left <= 0:
            return "the budget is exhausted" + ("" if seconds is None else f"; needs about {duration(seconds)}")
        if seconds is None:
            return None
        if seconds > left:
            return f"needs about {duration(seconds)}, but only {duration(left)} of the budget are left"
        if later and seconds + min(later) > left:
            return f"would leave too little time for the runs that depend on it (about {duration(min(later))})"
        return None

    def start(self, planned: PlannedRun) -> None:
        """Start measuring a run."""
        self._share_time()
        self._active[planned.name] = _ActiveRun(planned, time.monotonic())

    def stop(
        self, planned: PlannedRun, record: RunRecord | PretrainingRecord | None, *, from_scratch: bool = True
    ) -> float:
        """Stop measuring a run, and return the seconds spent on it in all calls.

        Args:
            record: of a run that has finished.
            from_scratch: it was not resumed, so that its time beside training is known.
        """
        self._share_time()
        active = self._active.pop(planned.name)
        if record is not None:
            self._cost_model.add_record(planned.config, record)
            if from_scratch:
                self._overheads.append(max(0.0, time.monotonic() - active.started - record.cost.seconds))
        self._spent[planned.name] = self._spent.get(planned.name, 0.0) + active.share
        return self._spent[planned.name]

    def overruns(self, planned: PlannedRun, progress: Progress) -> bool:
        """Learn from the progress of an active run, and return whether it will exceed the remaining budget."""
        self._cost_model.add_progress(planned.config, progress)
        left, active = self.seconds_left, self._active.get(planned.name)
        if left is None or active is None or progress.phase != "train" or progress.seconds_left is None:
            return False
        if time.monotonic() - active.started < TRIAL and left > 0:
            return False
        return progress.seconds_left > TOLERANCE * left + DEFAULT_OVERHEAD

    def _estimate(self, planned: PlannedRun, *, epochs_done: int = 0) -> float | None:
        """Seconds of a run from start to end."""
        training = self._cost_model.estimate(planned.config)
        if training is None:
            return None
        epochs = planned.config.epochs
        overhead = median(self._overheads) if self._overheads else DEFAULT_OVERHEAD
        return training * (1 - min(epochs_done, epochs) / epochs) + overhead

    def _share_time(self) -> None:
        """Divide the time since the last call among the active runs."""
        now = time.monotonic()
        for active in self._active.values():
            active.share += (now - self._shared_until) / len(self._active)
        self._shared_until = now


def runs_within_budget(
    runs: Sequence[tuple[PlannedRun, float | None]], *, seconds_left: float, done: frozenset[str] = frozenset()
) -> dict[str, bool]:
    """Return for each run with an estimate in seconds whether it fits, if all are run one at a time in this order."""
    available, fits = set(done), {}
    for planned, seconds in runs:
        if seconds is None:
            continue
        startable = planned.needs is None or planned.needs in available or planned.needs not in fits
        fits[planned.name] = startable and seconds + DEFAULT_OVERHEAD <= seconds_left
        if fits[planned.name]:
            available.add(planned.name)
            seconds_left -= seconds + DEFAULT_OVERHEAD
    return fits
