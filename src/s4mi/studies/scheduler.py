"""What a study starts next: the most important run that fits into the budget, asked again whenever a worker is idle.

Without a budget the order is that of the plan, except for the last runs of a study that trains several at a time: of
these the longest come first, so that no worker is idle while another trains a long one alone.
"""

from collections.abc import Iterator, Mapping, Sequence

from s4mi.config import PlannedRun
from s4mi.studies.budget import Budget
from s4mi.studies.order import importance
from s4mi.studies.queue import RunQueue

LAST_ROUNDS = 4
"""So many of the last runs per worker start in the order of their length."""


class Scheduler:
    """Starts, postpones and skips the runs of a queue by the budget; without a budget it keeps the order of the plan.

    Args:
        plan: without the runs that cannot be trained.
        epochs_done: finished epochs of runs that were interrupted, by name.
        together: number of runs that are trained at a time.
    """

    def __init__(
        self,
        plan: Sequence[PlannedRun],
        queue: RunQueue,
        budget: Budget,
        *,
        epochs_done: Mapping[str, int],
        together: int = 1,
    ) -> None:
        self._queue, self._budget, self._epochs_done = queue, budget, dict(epochs_done)
        self._together = together
        self._representing: frozenset[str] = frozenset()
        if budget.seconds_left is not None:
            order = importance(plan)
            queue.order = order
            self._representing = frozenset(name for name, one in order.items() if one.represents_its_technique)

    def start_next(self) -> PlannedRun | None:
        """Return the run to start now, marked active; None while no run that is ready fits."""
        ready, waiting = self._queue.ready, len(self._queue.pending)
        if self._together > 1 and waiting <= LAST_ROUNDS * self._together and self._budget.seconds_left is None:
            ready = self._longest_first(ready)
        planned = self._budget.choose(
            ready,
            representing=self._representing,
            epochs_done=self._epochs_done,
            dependents=self._dependents(),
        )
        if planned is not None:
            self._queue.start(planned)
        return planned

    def postpone(self, planned: PlannedRun, *, epochs_done: int) -> None:
        """Return a run that was stopped, as it overran the budget, to the pending ones."""
        self._budget.note_stop(planned)
        self._queue.postpone(planned)
        self._epochs_done[planned.name] = epochs_done

    def reasons_to_skip(self) -> Iterator[tuple[PlannedRun, str]]:
        """Yield the pending runs, none of which fits into what is left, each with the reason; drop each meanwhile."""
        dependents = self._dependents()
        for planned in self._queue.pending:
            if all(other.name != planned.name for other in self._queue.pending):
                continue  # dropped with the run that it depends on
            done, later = self._epochs_done.get(planned.name, 0), dependents.get(planned.name, ())
            reason = self._budget.reason_to_skip(planned, epochs_done=done, dependents=later)
            yield planned, reason or "the budget is exhausted"

    def _longest_first(self, ready: Sequence[PlannedRun]) -> list[PlannedRun]:
        """Runs by the time until they and the longest that starts from them are done; retries stay last."""
        dependents = self._dependents()
        seconds = {
            run.name: self._budget.seconds_with(
                run, dependents.get(run.name, ()), epochs_done=self._epochs_done.get(run.name, 0)
            )
            for run in ready
        }
        return sorted(ready, key=lambda run: (self._queue.attempt(run), -seconds[run.name]))

    def _dependents(self) -> dict[str, list[PlannedRun]]:
        """Pending runs that start from another, by its name."""
        found: dict[str, list[PlannedRun]] = {}
        for other in self._queue.pending:
            if other.needs is not None:
                found.setdefault(other.needs, []).append(other)
        return found
