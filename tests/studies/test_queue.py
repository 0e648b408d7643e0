"""Which run may begin: properties of any plan, any number of workers and any failures."""

from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from s4mi.config import PlannedRun, RunConfig
from s4mi.studies.queue import ATTEMPTS, RunQueue

NO_CONFIG = cast(RunConfig, None)  # nobody looks at it


@dataclass
class Story:
    """What happened: runs in the order in which they began and ended, and how often each failed."""

    begun: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    failures: Counter[str] = field(default_factory=Counter)
    stranded: list[str] = field(default_factory=list)
    most: int = 0


@st.composite
def plans(draw: st.DrawFn) -> list[PlannedRun]:
    """Each run may need one before it."""
    count = draw(st.integers(1, 12))
    needs = [draw(st.none() | st.integers(0, number - 1)) if number else None for number in range(count)]
    return [
        PlannedRun(str(number), NO_CONFIG, None if need is None else str(need)) for number, need in enumerate(needs)
    ]


def play(plan: list[PlannedRun], *, workers: int, bad: dict[str, int], data: st.DataObject) -> Story:
    """Run a plan: `bad` says how often each run fails before it ends well; which one ends next is drawn."""
    graph, story, running = RunQueue(plan), Story(), dict[str, PlannedRun]()
    while not graph.over:
        while len(running) < workers and (run := graph.begin()) is not None:
            assert run.needs is None or run.needs in story.finished
            story.begun.append(run.name)
            running[run.name] = run
            assert graph.attempt(run) == story.begun.count(run.name)
        story.most = max(story.most, len(running))
        run = running.pop(data.draw(st.sampled_from(sorted(running))))
        if story.failures[run.name] < bad.get(run.name, 0):
            story.failures[run.name] += 1
            if not graph.fail(run):
                story.stranded += [other.name for other in graph.give_up(run)]
        else:
            graph.finish(run)
            story.finished.add(run.name)
    return story


@given(plan=plans(), workers=st.integers(1, 4), data=st.data())
def test_every_run_ends_and_only_those_below_a_lost_one_never_begin(
    plan: list[PlannedRun], workers: int, data: st.DataObject
) -> None:
    names = [run.name for run in plan]
    bad = data.draw(st.dictionaries(st.sampled_from(names), st.integers(1, 3)))
    story = play(plan, workers=workers, bad=bad, data=data)
    needs = {run.name: run.needs for run in plan}
    lost: set[str] = set()
    for name in names:  # each after what it needs
        if needs[name] in lost or bad.get(name, 0) >= ATTEMPTS:
            lost.add(name)
    assert story.finished == set(names) - lost
    assert sorted(story.stranded) == sorted(name for name in lost if needs[name] in lost)
    for name in names:
        expected = 0 if name in story.stranded else min(bad.get(name, 0) + 1, ATTEMPTS)
        assert story.begun.count(name) == expected
    assert story.most <= workers


@given(plan=plans(), data=st.data())
def test_one_worker_keeps_the_order_of_the_plan_and_tries_again_at_the_end(
    plan: list[PlannedRun], data: st.DataObject
) -> None:
    assert play(plan, workers=1, bad={}, data=data).begun == [run.name for run in plan]
    alone = [PlannedRun(run.name, run.config) for run in plan]
    story = play(alone, workers=1, bad={"0": 1}, data=data)
    assert story.begun == [run.name for run in plan] + ["0"]


def test_nothing_begins_while_what_it_needs_is_running() -> None:
    plan = [PlannedRun("first", NO_CONFIG), PlannedRun("second", NO_CONFIG, "first")]
    graph = RunQueue(plan)
    assert graph.begin() == plan[0]
    assert graph.begin() is None
    assert not graph.over
    graph.finish(plan[0])
    assert graph.begin() == plan[1]


def test_what_was_finished_before_does_not_begin() -> None:
    plan = [PlannedRun("first", NO_CONFIG), PlannedRun("second", NO_CONFIG, "first")]
    graph = RunQueue(plan)
    graph.finish(plan[0])
    assert graph.begin() == plan[1]
    graph.finish(plan[1])
    assert graph.over
