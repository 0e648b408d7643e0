"""Order of a study's runs: a run starts after the run it depends on, and failed runs are retried last.

Which of the runs that are ready starts next is a choice of the budget; without one, it is the first of the order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from s4mi.config import PlannedRun
from s4mi.studies.order import Importance

MAX_ATTEMPTS = 2
"""Attempts per run: the cause of a failure, such as a shortage of memory, may be over by the second."""


class RunQueue:
    """Pending, active and finished runs of a study, in the order of `runs`, or by `order` if that is set."""

    def __init__(self, runs: Sequence[PlannedRun], *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self.order: Mapping[str, Importance] | None = None
        self._pending = {run.name: run for run in runs}
        self._active: set[str] = set()
        self._finished: set[str] = set()
        self._attempts: Counter[str] = Counter()
        self._max_attempts = max_attempts

    @property
    def done(self) -> bool:
        """Whether no run is pending or active."""
        return not self._pending and not self._active

    @property
    def pending(self) -> list[PlannedRun]:
        """Runs that have not started, or wait for a retry."""
        return list(self._pending.values())

    @property
    def active(self) -> bool:
        """Whether any run is active."""
        return bool(self._active)

    @property
    def ready(self) -> list[PlannedRun]:
        """Pending runs that depend on no unfinished one: those with the fewest attempts first, then by the order."""
        ready = [run for run in self._pending.values() if run.needs is None or run.needs in self._finished]
        if self.order is not None:
            order = self.order
            ready.sort(key=lambda run: order[run.name])
        return sorted(ready, key=lambda run: self._attempts[run.name])

    def start(self, run: PlannedRun) -> None:
        """Mark a run that is ready active."""
        del self._pending[run.name]
        self._active.add(run.name)
        self._attempts[run.name] += 1

    def start_next(self) -> PlannedRun | None:
        """Return the first run that is ready and mark it active; None while every pending run depends on another."""
        ready = self.ready
        if not ready:
            return None
        self.start(ready[0])
        return ready[0]

    def postpone(self, run: PlannedRun) -> None:
        """Return an active run to the pending ones; the attempt does not count."""
        self._remove(run)
        self._attempts[run.name] -= 1
        self._pending[run.name] = run

    def attempt(self, run: PlannedRun) -> int:
        """Number of attempts so far."""
        return self._attempts[run.name]

    def finish(self, run: PlannedRun) -> None:
        """Mark a run finished, now or in an earlier call."""
        self._remove(run)
        self._finished.add(run.name)

    def fail(self, run: PlannedRun) -> bool:
        """Record a failed attempt, and return whether the run will be retried."""
        self._remove(run)
        retry = self._attempts[run.name] < self._max_attempts
        if retry:
            self._pending[run.name] = run
        return retry

    def drop(self, run: PlannedRun) -> list[PlannedRun]:
        """Remove a run that will not finish, and return the pending runs that depend on it, which are removed too."""
        self._remove(run)
        dependents = []
        for other in [other for other in self._pending.values() if other.needs == run.name]:
            dependents += [other, *self.drop(other)]
        return dependents

    def _remove(self, run: PlannedRun) -> None:
        self._pending.pop(run.name, None)
        self._active.discard(run.name)
