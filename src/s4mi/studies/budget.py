"""The time that a study may take: what has been taken of it, and which run still fits.

Counted is the time in which at least one run is under way; several at a time share it. Each run keeps its share in its
folder, so that a later call knows what is left, and what was set aside gives its share back.
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

SCORING = 1.0
"""Seconds that a run takes beside training, until runs have shown it."""
TRIAL = 5.0
"""Seconds of training after which a run is believed how long it will take."""
OVER = 1.1
"""Times what is left of the budget that a run may be expected to take before it is stopped."""


@dataclass
class _Begun:
    """A run under way, and since when."""

    planned: PlannedRun
    since: float
    share: float = 0.0


class Budget:
    """Learns what runs take, and tells which do not fit.

    Args:
        seconds: of the whole study; None: as long as it takes.
        spent: what runs have taken in earlier calls, by name.
    """

    def __init__(self, seconds: float | None, spent: Mapping[str, float]) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds - sum(spent.values())
        self._spent = dict(spent)
        self._pace = CostModel()
        self._beside: list[float] = []
        self._running: dict[str, _Begun] = {}
        self._counted = time.monotonic()

    @property
    def left(self) -> float | None:
        """Seconds; None where there is no end."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def learn(self, planned: PlannedRun, record: RunRecord | PretrainingRecord) -> None:
        """A run has finished, now or in an earlier call."""
        self._pace.learn(planned.config, record)

    def lacks(self, planned: PlannedRun, *, epochs: int = 0, next_ones: Iterable[PlannedRun] = ()) -> str | None:
        """Why there is no time for a run of which `epochs` are done, or None where there is.

        What is started for others alone, `next_ones`, has to leave time for the shortest of them. A run of which
        nothing is known may begin, and is watched; see `overruns`.
        """
        left = self.left
        if left is None:
            return None
        seconds = self._expected(planned, epochs=epochs)
        after = [known for other in next_ones if (known := self._expected(other)) is not None]
        if left <= 0:
            return _spent(seconds)
        if seconds is None:
            return None
        if seconds > left:
            return f"it would take about {duration(seconds)}, and {duration(left)} of the budget are left"
        if after and seconds + min(after) > left:
            return f"it would leave no time for what starts from it, about {duration(min(after))}"
        return None

    def begin(self, planned: PlannedRun) -> None:
        """A run is under way from now on."""
        self._count()
        self._running[planned.name] = _Begun(planned, time.monotonic())

    def end(self, planned: PlannedRun, record: RunRecord | PretrainingRecord | None, *, whole: bool = True) -> float:
        """It is no more; the seconds that it has taken in all calls. `whole`: it began from nothing."""
        self._count()
        begun = self._running.pop(planned.name)
        if record is not None:
            self._pace.learn(planned.config, record)
            if whole:
                self._beside.append(max(0.0, time.monotonic() - begun.since - record.cost.seconds))
        self._spent[planned.name] = self._spent.get(planned.name, 0.0) + begun.share
        return self._spent[planned.name]

    def overruns(self, planned: PlannedRun, progress: Progress) -> bool:
        """Whether a run's own steps have shown that it will not end in time; they also tell of others like it."""
        self._pace.watch(planned.config, progress)
        left, begun = self.left, self._running.get(planned.name)
        if left is None or begun is None or progress.phase != "train" or progress.seconds_left is None:
            return False
        if time.monotonic() - begun.since < TRIAL and left > 0:
            return False
        return progress.seconds_left > OVER * left + SCORING

    def _expected(self, planned: PlannedRun, *, epochs: int = 0) -> float | None:
        """Seconds from its beginning to its end."""
        training = self._pace.guess(planned.config)
        if training is None:
            return None
        whole = planned.config.epochs
        return training * (1 - min(epochs, whole) / whole) + (median(self._beside) if self._beside else SCORING)

    def _count(self) -> None:
        """Share the time since the last look among the runs under way."""
        now = time.monotonic()
        for begun in self._running.values():
            begun.share += (now - self._counted) / len(self._running)
        self._counted = now


def split_by_budget(
    runs: Sequence[tuple[PlannedRun, float | None]], *, left: float, done: frozenset[str] = frozenset()
) -> dict[str, bool]:
    """Of the runs that are left with the seconds each will take, one after the other: which fit into `left` seconds.

    Only runs of which that is known are in the answer.
    """
    there, answer = set(done), {}
    for planned, seconds in runs:
        if seconds is None:
            continue
        needed = planned.needs is None or planned.needs in there or planned.needs not in answer
        answer[planned.name] = needed and seconds + SCORING <= left
        if answer[planned.name]:
            there.add(planned.name)
            left -= seconds + SCORING
    return answer


def _spent(seconds: float | None) -> str:
    return "the budget is spent" + ("" if seconds is None else f"; it would take about {duration(seconds)}")
