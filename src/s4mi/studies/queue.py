"""Which run of a study may begin: what it needs comes first, what has failed is tried again after everything else."""

from collections import Counter
from collections.abc import Sequence

from s4mi.config import PlannedRun

ATTEMPTS = 2
"""How often a run is tried: what was short for a moment, such as memory, may be there later."""


class RunQueue:
    """The runs of a study that are waiting, running and finished."""

    def __init__(self, runs: Sequence[PlannedRun], *, attempts: int = ATTEMPTS) -> None:
        self._waiting = {run.name: run for run in runs}
        self._running: set[str] = set()
        self._finished: set[str] = set()
        self._begun: Counter[str] = Counter()
        self._attempts = attempts

    @property
    def over(self) -> bool:
        """Whether nothing runs and nothing will."""
        return not self._waiting and not self._running

    @property
    def waiting(self) -> list[PlannedRun]:
        """The runs that have not begun, or wait to be tried again."""
        return list(self._waiting.values())

    def begin(self) -> PlannedRun | None:
        """The next run, from now on running; None while all that waits needs one that is not finished.

        The first in the order of the plan, of those that were tried least often.
        """
        ready = [run for run in self._waiting.values() if run.needs is None or run.needs in self._finished]
        if not ready:
            return None
        run = min(ready, key=lambda run: self._begun[run.name])
        del self._waiting[run.name]
        self._running.add(run.name)
        self._begun[run.name] += 1
        return run

    def attempt(self, run: PlannedRun) -> int:
        """How often it has begun."""
        return self._begun[run.name]

    def finish(self, run: PlannedRun) -> None:
        """It has ended well, now or at another time."""
        self._forget(run)
        self._finished.add(run.name)

    def fail(self, run: PlannedRun) -> bool:
        """It has ended badly; whether it waits to be tried again."""
        self._forget(run)
        again = self._begun[run.name] < self._attempts
        if again:
            self._waiting[run.name] = run
        return again

    def give_up(self, run: PlannedRun) -> list[PlannedRun]:
        """It will not be finished; returns those that wait for it, directly or not, which will never begin."""
        self._forget(run)
        stranded = []
        for other in [other for other in self._waiting.values() if other.needs == run.name]:
            stranded += [other, *self.give_up(other)]
        return stranded

    def _forget(self, run: PlannedRun) -> None:
        self._waiting.pop(run.name, None)
        self._running.discard(run.name)
