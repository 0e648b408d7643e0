"""A study without a budget on a simulated machine: with several workers none is idle for long at the end."""

import math
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.config import PlannedRun, make_study, plan_study
from s4mi.studies.budget import Budget
from s4mi.studies.queue import RunQueue
from s4mi.studies.scheduler import LAST_ROUNDS, Scheduler
from simulated_machine import OVERHEAD, TICK, Machine, _images, _record

USUAL = {"finetune": 8.0, "dedl": 12.0, "cross_teaching": 24.0, "picie": 24.0, "dino": 10.0}
"""Seconds of training by method, with all labels."""


@cache
def plan() -> list[PlannedRun]:
    """Five techniques, three label fractions and two seeds; the longest stand last. No file is read."""
    folder = Path("nowhere").absolute()
    network = {"backbones": ["tiny_resnet"]}
    arms: list[dict[str, Any]] = [
        {"name": "scratch", "method": {"name": "finetune", "weights": "none"}, **network},
        {"name": "dino", "method": {"name": "finetune", "weights": "none"}, "pretraining": "dino", **network},
        {"name": "unet", "method": {"name": "dedl", "encoder": "tiny_resnet", "weights": "none"}},
        {"name": "picie", "method": {"name": "picie", "backbone": "tiny_resnet", "weights": "none"}},
        {"name": "cross", "method": "cross_teaching"},
    ]
    contents = {
        "profile": "small", "data": {"path": folder}, "label_fractions": [10, 50, 100], "seeds": [0, 1],
        "settings": {"epochs": 10, "batch_size": 10}, "arms": arms,
        "pretraining": {"dino": {"method": {"name": "dino", "weights": "none"}, **network}},
    }  # fmt: skip
    return list(plan_study(make_study(contents, origin="study.yaml"), folder))


def costs(slower: float = 1.0) -> dict[str, float]:
    """True seconds of each run; cross teaching takes `slower` times as long as usual."""
    by_method = {**USUAL, "cross_teaching": slower * USUAL["cross_teaching"]}
    return {run.name: by_method[run.config.method.name] * _images(run) / 200 for run in plan()}


def ended(monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float], *, workers: int) -> Machine:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    machine = Machine(plan(), seconds, lambda _: 1.0, math.inf, clock, workers)
    machine.run()
    assert machine.finished == {run.name for run in plan()}
    return machine


def shared(seconds: dict[str, float], *, workers: int) -> float:
    """Seconds if every worker had as much to do as the others, and each run ended with a message."""
    return sum(each + OVERHEAD + TICK for each in seconds.values()) / workers


@pytest.mark.parametrize("workers", [2, 3])
def test_no_worker_is_idle_at_the_end(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    assert ended(monkeypatch, costs(), workers=workers).end <= shared(costs(), workers=workers)


def test_it_ends_earlier_than_in_the_order_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    sooner = ended(monkeypatch, costs(), workers=2).end
    monkeypatch.setattr("s4mi.studies.scheduler.LAST_ROUNDS", 0)
    assert sooner < ended(monkeypatch, costs(), workers=2).end - 5


@settings(deadline=None, max_examples=20)
@given(slower=st.floats(0.3, 3.0))
def test_whatever_the_runs_cost_no_worker_is_idle_for_longer_than_a_short_run(slower: float) -> None:
    with pytest.MonkeyPatch.context() as patched:
        assert ended(patched, costs(slower), workers=2).end <= shared(costs(slower), workers=2) + USUAL["finetune"] / 2


def test_the_first_runs_keep_the_order_of_the_plan_and_one_worker_keeps_it_to_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = [run.name for run in plan()]
    assert ended(monkeypatch, costs(), workers=1).started == order
    started = ended(monkeypatch, costs(), workers=2).started
    kept = len(order) - LAST_ROUNDS * 2 - 2  # two that wait for their pre-training may be passed
    assert sorted(started[:kept], key=order.index) == order[:kept]


def test_of_the_last_runs_the_longest_starts_first_with_what_starts_from_it() -> None:
    runs = [run for run in plan() if run.config.seed == 0 and run.config.amount.value == 100]
    queue, budget = RunQueue(runs), Budget(None, {})
    for run in plan():
        if run.config.seed == 1:
            budget.add_record(run, _record(run, costs()[run.name]))
    scheduler = Scheduler(runs, queue, budget, epochs_done={}, together=2)
    methods = []
    while (started := scheduler.start_next()) is not None:
        methods.append(started.config.method.name)
    assert methods == ["picie", "cross_teaching", "dino", "dedl", "finetune"]  # 24, 24, 10 + 8, 12 and 8 seconds
