"""Time budget of a study: time spent so far, and which of the runs that are ready starts next.

    first    a run that represents its technique, unless even the best speed of the machine would not do
    then     the first in the order that fits at the present speed
    else     the shortest that would fit at the best speed: a load may pass, and the time would be lost otherwise

A run that does not fit now waits: whether it does is asked again whenever a worker is idle. An active run is stopped,
and may go on later, once its own steps show that it will not fit.

Only time in which at least one run is active counts, and runs that are active together share it. Each run stores its
share in its folder, so that a later call knows what is left; a run that is set aside gives its share back.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from s4mi.config import PlannedRun
from s4mi.formatting import duration
from s4mi.records import PretrainingRecord, RunRecord
from s4mi.studies.cost_model import DOUBT, CostModel
from s4mi.studies.pace import PaceMeter
from s4mi.training.progress import Progress

DEFAULT_OVERHEAD = 1.0
"""Seconds that a run takes beside training, such as scoring, until runs have been measured."""
TRIAL = 5.0
"""Seconds that a run trains before its own estimate of the remaining time is trusted."""
TOLERANCE = 1.1
"""A run is stopped if its estimate exceeds the remaining budget by this factor."""
MAX_STOPS = 2
"""A run that was stopped this often is not started again."""
STOPPED = "stopped: at its measured speed it exceeds the remaining budget"


@dataclass
class _ActiveRun:
    planned: PlannedRun
    started: float
    tolerance: float = TOLERANCE
    share: float = 0.0
    meter: PaceMeter = field(default_factory=PaceMeter)


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
        self._tolerances: dict[str, float] = {}
        self._stops: Counter[str] = Counter()
        self._shared_until = time.monotonic()

    @property
    def seconds_left(self) -> float | None:
        """Remaining seconds, at least 0; None if unlimited."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def active(self) -> list[PlannedRun]:
        """The runs that are measured now."""
        return [active.planned for active in self._active.values()]

    def add_record(self, planned: PlannedRun, record: RunRecord | PretrainingRecord) -> None:
        """Learn from a run that was finished in an earlier call."""
        self._cost_model.add_record(planned.config, record)

    def choose(
        self,
        ready: Sequence[PlannedRun],
        *,
        representing: Collection[str] = (),
        epochs_done: Mapping[str, int] | None = None,
        dependents: Mapping[str, Sequence[PlannedRun]] | None = None,
    ) -> PlannedRun | None:
        """Return the run to start now, or None if no run that is ready fits.

        Args:
            ready: the most important first.
            representing: names of runs that represent their technique in the comparison.
            epochs_done: finished epochs of runs that were interrupted, by name.
            dependents: pending runs that start from a pre-training run, by its name: one of them must fit too.
        """
        left = self.seconds_left
        if left is None:
            return ready[0] if ready else None
        ready = [run for run in ready if self._stops[run.name] < MAX_STOPS]
        if left <= 0:
            return None
        needed, at_best = {}, {}
        for run in ready:
            done, later = (epochs_done or {}).get(run.name, 0), (dependents or {}).get(run.name, ())
            needed[run.name], at_best[run.name] = self._needed(run, later, epochs_done=done)
        patience = DOUBT * self._cost_model.slowdown * left
        for run in ready:
            if run.name in representing and needed[run.name] <= patience:
                return self._chosen(run, DOUBT)
        for run in ready:
            if needed[run.name] <= left:
                return self._chosen(run, TOLERANCE)
        promising = [run for run in ready if at_best[run.name] <= left]
        if not promising:
            return None
        shortest = min(promising, key=lambda run: at_best[run.name])
        return self._chosen(shortest, max(TOLERANCE, self._cost_model.slowdown))

    def seconds_with(self, planned: PlannedRun, dependents: Iterable[PlannedRun], *, epochs_done: int = 0) -> float:
        """Seconds until a run and then the longest of those that start from it have ended; 0 without an estimate."""
        later = [self._estimate(other) or 0.0 for other in dependents]
        return (self._estimate(planned, epochs_done=epochs_done) or 0.0) + max(later, default=0.0)

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
        if self._stops[planned.name]:
            return STOPPED
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
        tolerance = self._tolerances.get(planned.name, TOLERANCE)
        self._active[planned.name] = _ActiveRun(planned, time.monotonic(), tolerance)

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

    def note_stop(self, planned: PlannedRun) -> None:
        """Remember that a run was stopped because it overran."""
        self._stops[planned.name] += 1

    def overruns(self, planned: PlannedRun, progress: Progress) -> bool:
        """Learn from the progress of an active run, and return whether it will exceed the remaining budget.

        Both its average speed and that of its last steps must say so.
        """
        self._cost_model.add_progress(planned.config, progress)
        left, active = self.seconds_left, self._active.get(planned.name)
        if left is None or active is None or progress.phase != "train" or progress.seconds_left is None:
            return False
        active.meter.add(time.monotonic(), progress)
        if (pace := active.meter.seconds_per_step) is not None:
            self._cost_model.add_pace(planned.config, pace / planned.config.batch_size)
        if time.monotonic() - active.started < TRIAL and left > 0:
            return False
        recent = active.meter.seconds_left(progress)
        remaining = progress.seconds_left if recent is None else min(recent, progress.seconds_left)
        return remaining > active.tolerance * left + DEFAULT_OVERHEAD

    def _chosen(self, planned: PlannedRun, tolerance: float) -> PlannedRun:
        self._tolerances[planned.name] = tolerance
        return planned

    def _needed(
        self, planned: PlannedRun, dependents: Iterable[PlannedRun], *, epochs_done: int
    ) -> tuple[float, float]:
        """Seconds that a run and the shortest of its dependents need at the present speed, and at the best one.

        0 without an estimate: such a run may start and is watched.
        """
        seconds = self._estimate(planned, epochs_done=epochs_done) or 0.0
        at_best = self._estimate(planned, epochs_done=epochs_done, at_best=True) or 0.0
        later = [estimate for other in dependents if (estimate := self._estimate(other)) is not None]
        best_later = [estimate for other in dependents if (estimate := self._estimate(other, at_best=True)) is not None]
        return seconds + min(later, default=0.0), at_best + min(best_later, default=0.0)

    def _estimate(self, planned: PlannedRun, *, epochs_done: int = 0, at_best: bool = False) -> float | None:
        """Seconds of a run from start to end, at the present speed of the machine or at the best one."""
        model = self._cost_model
        training = model.at_best(planned.config) if at_best else model.estimate(planned.config)
        if training is None:
            return None
        epochs = planned.config.epochs
        overhead = median(self._overheads) if self._overheads else DEFAULT_OVERHEAD
        if at_best:
            overhead = min(self._overheads, default=0.0)
        return training * (1 - min(epochs_done, epochs) / epochs) + overhead

    def _share_time(self) -> None:
        """Divide the time since the last call among the active runs."""
        now = time.monotonic()
        for active in self._active.values():
            active.share += (now - self._shared_until) / len(self._active)
        self._shared_until = now


def runs_within_budget(runs: Sequence[tuple[PlannedRun, float | None]], *, seconds_left: float) -> dict[str, bool]:
    """Return for each run with an estimate in seconds whether it fits, if all are run one at a time in this order."""
    fits: dict[str, bool] = {}
    for planned, seconds in runs:
        if seconds is None:
            continue
        startable = planned.needs is None or fits.get(planned.needs, True)
        fits[planned.name] = startable and seconds + DEFAULT_OVERHEAD <= seconds_left
        if fits[planned.name]:
            seconds_left -= seconds + DEFAULT_OVERHEAD
    return fits
