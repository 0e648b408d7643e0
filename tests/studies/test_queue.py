"""Run queue: properties for any plan, number of workers and failures."""

from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from s4mi.config import PlannedRun, RunConfig
from s4mi.studies.queue import MAX_ATTEMPTS, RunQueue

NO_CONFIG = cast(RunConfig, None)  # not read


@dataclass
class History:
    """Runs in the order in which they started, those that finished, and how often each failed."""

    started: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    failures: Counter[str] = field(default_factory=Counter)
    dropped: list[str] = field(default_factory=list)
    max_active: int = 0


@st.composite
def plans(draw: st.DrawFn) -> list[PlannedRun]:
    """Plans in which a run may depend on an earlier one."""
    count = draw(st.integers(1, 12))
    needs = [draw(st.none() | st.integers(0, number - 1)) if number else None for number in range(count)]
    return [
        PlannedRun(str(number), NO_CONFIG, None if need is None else str(need)) for number, need in enumerate(needs)
    ]


def run_plan(plan: list[PlannedRun], *, workers: int, failing: dict[str, int], data: st.DataObject) -> History:
    """Run a plan; `failing` is how often each run fails before it finishes, and which run ends next is drawn."""
    queue, history, running = RunQueue(plan), History(), dict[str, PlannedRun]()
    while not queue.done:
        while len(running) < workers and (run := queue.start_next()) is not None:
            assert run.needs is None or run.needs in history.finished
            history.started.append(run.name)
            running[run.name] = run
            assert queue.attempt(run) == history.started.count(run.name)
        history.max_active = max(history.max_active, len(running))
        run = running.pop(data.draw(st.sampled_from(sorted(running))))
        if history.failures[run.name] < failing.get(run.name, 0):
            history.failures[run.name] += 1
            if not queue.fail(run):
                history.dropped += [other.name for other in queue.drop(run)]
        else:
            queue.finish(run)
            history.finished.add(run.name)
    return history


@given(plan=plans(), workers=st.integers(1, 4), data=st.data())
def test_every_run_ends_and_only_dependents_of_a_lost_run_never_start(
    plan: list[PlannedRun], workers: int, data: st.DataObject
) -> None:
    names = [run.name for run in plan]
    failing = data.draw(st.dictionaries(st.sampled_from(names), st.integers(1, 3)))
    history = run_plan(plan, workers=workers, failing=failing, data=data)
    needs = {run.name: run.needs for run in plan}
    lost: set[str] = set()
    for name in names:  # each after the run it depends on
        if needs[name] in lost or failing.get(name, 0) >= MAX_ATTEMPTS:
            lost.add(name)
    assert history.finished == set(names) - lost
    assert sorted(history.dropped) == sorted(name for name in lost if needs[name] in lost)
    for name in names:
        expected = 0 if name in history.dropped else min(failing.get(name, 0) + 1, MAX_ATTEMPTS)
        assert history.started.count(name) == expected
    assert history.max_active <= workers


@given(plan=plans(), data=st.data())
def test_one_worker_keeps_the_order_of_the_plan_and_retries_last(plan: list[PlannedRun], data: st.DataObject) -> None:
    assert run_plan(plan, workers=1, failing={}, data=data).started == [run.name for run in plan]
    alone = [PlannedRun(run.name, run.config) for run in plan]
    history = run_plan(alone, workers=1, failing={"0": 1}, data=data)
    assert history.started == [run.name for run in plan] + ["0"]


def test_no_run_starts_while_the_one_it_depends_on_is_active() -> None:
    plan = [PlannedRun("first", NO_CONFIG), PlannedRun("second", NO_CONFIG, "first")]
    queue = RunQueue(plan)
    assert queue.start_next() == plan[0]
    assert queue.start_next() is None
    assert not queue.done
    queue.finish(plan[0])
    assert queue.start_next() == plan[1]


def test_a_run_that_was_finished_earlier_does_not_start() -> None:
    plan = [PlannedRun("first", NO_CONFIG), PlannedRun("second", NO_CONFIG, "first")]
    queue = RunQueue(plan)
    queue.finish(plan[0])
    assert queue.start_next() == plan[1]
    queue.finish(plan[1])
    assert queue.done
