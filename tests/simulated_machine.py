"""A machine with a clock of its own, which takes as long for the runs of a study as it is told to."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from s4mi.config import PlannedRun
from s4mi.records import Cost, FitRecord, LabelCounts, PretrainingRecord, RunRecord
from s4mi.studies.budget import Budget
from s4mi.studies.queue import RunQueue
from s4mi.studies.scheduler import Scheduler
from s4mi.training.progress import Progress

Load = Callable[[float], float]
"""How many times slower the machine is at a time in s."""
IMAGES = 200
OVERHEAD = 0.5
TICK = 0.5
"""Seconds between two messages of a run."""


@dataclass
class Active:
    planned: PlannedRun
    session: float
    steps_before: float
    trained: float = 0.0
    scoring: float = OVERHEAD


@dataclass
class Machine:
    """Runs a plan within a budget; `costs` are the true seconds of training of each run without load.

    Attributes:
        unused: seconds of the budget that were left when nothing was started any more.
        end: seconds until then.
        steps: made by each run.
    """

    plan: Sequence[PlannedRun]
    costs: Mapping[str, float]
    load: Load
    seconds: float
    clock: list[float]
    workers: int = 1
    finished: set[str] = field(default_factory=set)
    started: list[str] = field(default_factory=list)
    unused: float = 0.0
    end: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        begin = self.clock[0]
        queue, budget = RunQueue(self.plan), Budget(None if math.isinf(self.seconds) else self.seconds, {})
        scheduler = Scheduler(self.plan, queue, budget, epochs_done={}, together=self.workers)
        active: list[Active] = []
        while not queue.done:
            while len(active) < self.workers and (planned := scheduler.start_next()) is not None:
                budget.start(planned)
                self.started.append(planned.name)
                active.append(Active(planned, self.clock[0], self.steps.get(planned.name, 0.0)))
            if not active:
                break
            self.clock[0] += TICK
            for one in list(active):
                if self._advance(one, budget, scheduler, queue, begin):
                    active.remove(one)
        self.end = self.clock[0] - begin
        self.unused = max(0.0, self.seconds - self.end) if not queue.done else 0.0

    def left_out(self) -> list[PlannedRun]:
        return [run for run in self.plan if run.name not in self.finished]

    def cost_now(self, run: PlannedRun) -> float:
        """Seconds that a run that was left out would still take at the present load."""
        done = self.steps.get(run.name, 0.0) / _steps(run)
        return ((1 - done) * self.costs[run.name] + OVERHEAD) * self.load(self.end)

    def _advance(self, one: Active, budget: Budget, scheduler: Scheduler, queue: RunQueue, begin: float) -> bool:
        """Let a run work for a tick, and return whether it has ended."""
        planned, work = one.planned, TICK / self.load(self.clock[0] - begin)
        total, cost = _steps(planned), self.costs[planned.name]
        done = self.steps.get(planned.name, 0.0)
        if done < total and not planned.config.method.fitted:
            self.steps[planned.name] = min(total, done + work / cost * total)
            one.trained += TICK
            elapsed, made = self.clock[0] - one.session, self.steps[planned.name] - one.steps_before
            whole = int(self.steps[planned.name])
            per_epoch = total / planned.config.epochs
            progress = Progress(
                "train", whole, int(total), min(planned.config.epochs, int(whole / per_epoch) + 1),
                planned.config.epochs, images_per_second=made * planned.config.batch_size / one.trained,
                seconds_left=elapsed / made * (total - self.steps[planned.name]),
            )  # fmt: skip
            if budget.overruns(planned, progress):
                budget.stop(planned, None)
                epochs = int(self.steps[planned.name] / per_epoch)
                self.steps[planned.name] = epochs * per_epoch
                scheduler.postpone(planned, epochs_done=epochs)
                return True
            return False
        if planned.config.method.fitted and one.trained == 0.0:
            one.trained, one.scoring = cost, cost + OVERHEAD
        one.scoring -= work
        if one.scoring > 0:
            return False
        seconds = max(one.trained, 1e-3)
        budget.stop(planned, _record(planned, seconds), from_scratch=one.steps_before == 0)
        queue.finish(planned)
        self.finished.add(planned.name)
        return True


def _steps(run: PlannedRun) -> float:
    return 1.0 if run.config.method.fitted else _images(run) * run.config.epochs / run.config.batch_size


def _images(run: PlannedRun) -> float:
    if run.config.method.unlabelled or run.config.method.pretrains:
        return IMAGES
    return max(1.0, IMAGES * run.config.amount.value / 100)


def _record(run: PlannedRun, seconds: float) -> RunRecord | PretrainingRecord:
    epochs = 1 if run.config.method.fitted else run.config.epochs
    cost = Cost.model_construct(seconds=seconds, images_per_second=_images(run) * epochs / seconds)
    if run.config.method.pretrains:
        return PretrainingRecord.model_construct(epochs=epochs, cost=cost)
    fit = FitRecord.model_construct(seconds=seconds) if run.config.method.fitted else None
    return RunRecord.model_construct(
        task="multiclass", epochs=epochs, label_fraction=float(run.config.amount.value), fit=fit,
        labels=LabelCounts.model_construct(train_labelled=round(_images(run))), cost=cost,
    )  # fmt: skip
