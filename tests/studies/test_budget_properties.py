"""A study within a budget on a simulated machine: never a technique is left out, and no time is wasted."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.config import PlannedRun, make_study, plan_study
from s4mi.studies.budget import DEFAULT_OVERHEAD
from s4mi.studies.demo import demo_study
from s4mi.studies.order import importance
from simulated_machine import OVERHEAD, Load, Machine

TINY = {"weights": "none"}
METHODS: dict[str, dict[str, Any]] = {
    "scratch": {"name": "finetune", **TINY},
    "dino": {"name": "finetune", **TINY},
    "cass": {"name": "finetune", **TINY},
    "unet": {"name": "dedl", "encoder": "tiny_resnet", **TINY},
    "cross": {"name": "cross_teaching"},
    "picie": {"name": "picie", "backbone": "tiny_resnet", **TINY},
    "colour": {"name": "classical"},
}


@cache
def plan() -> list[PlannedRun]:
    """Seven techniques, two networks, three fractions, two seeds, and two kinds of pre-training; no file is read."""
    folder = Path("nowhere").absolute()
    classifiers = {"backbones": ["tiny_resnet", "tiny_vit"]}
    arms = [
        {"name": name, "method": method, **(classifiers if method["name"] == "finetune" else {}),
         **({"pretraining": name} if name in ("dino", "cass") else {})}
        for name, method in METHODS.items()
    ]  # fmt: skip
    contents = {
        "profile": "small", "data": {"path": folder}, "label_fractions": [10, 50, 100], "seeds": [0, 1],
        "settings": {"epochs": 10, "batch_size": 10}, "arms": arms, "budget": "1 h",
        "pretraining": {
            "dino": {"method": {"name": "dino", **TINY}, **classifiers},
            "cass": {"method": "cass", "epochs": 20},
        },
    }  # fmt: skip
    return list(plan_study(make_study(contents, origin="study.yaml"), folder))


@dataclass(frozen=True)
class Slower:
    """A machine that is `by` times slower between two times in s."""

    by: float
    first: float
    last: float

    def __call__(self, at: float) -> float:
        return self.by if self.first <= at < self.last else 1.0


@st.composite
def loads(draw: st.DrawFn) -> Slower:
    """A machine that is always, at first, later, or for a while in between up to four times slower."""
    first, last = sorted([draw(st.sampled_from([0, 0, 30, 100, 200])), draw(st.sampled_from([20, 90, 150, 1e9]))])
    return Slower(draw(st.floats(1.0, 4.0)), first, last)


@st.composite
def costs(draw: st.DrawFn) -> Mapping[str, float]:
    """Seconds of training by method at all labels; a kind costs up to three times more or less than is assumed."""
    usual = {"finetune": 8, "dedl": 12, "cross_teaching": 24, "picie": 24, "dino": 10, "cass": 20, "classical": 1}
    return {name: seconds * 3 ** draw(st.floats(-1, 1)) for name, seconds in usual.items()}


def true_costs(plan: list[PlannedRun], by_method: Mapping[str, float]) -> dict[str, float]:
    def share(run: PlannedRun) -> float:
        method = run.config.method
        return 1.0 if method.unlabelled or method.pretrains else run.config.amount.value / 100

    return {run.name: by_method[run.config.method.name] * share(run) for run in plan}


def techniques(plan: list[PlannedRun]) -> list[set[str]]:
    """The names of the runs of each technique, whatever the network, fraction and seed."""
    found: dict[str, set[str]] = {}
    for run in plan:
        if run.arm:
            found.setdefault(next(name for name in METHODS if run.arm.startswith(name)), set()).add(run.name)
    return list(found.values())


def seconds_of_one_each(plan: list[PlannedRun], true: Mapping[str, float], load: Load) -> float:
    """Seconds in which one run of each technique is made, one after the other, under a load."""
    ranks = importance(plan)
    at = 0.0
    for run in plan:
        if ranks[run.name].represents_its_technique:
            work = true[run.name] + OVERHEAD + 1.0
            while work > 0:
                work -= 0.5 / load(at)
                at += 0.5
    return at


@pytest.mark.parametrize("workers", [1, 2])
@settings(max_examples=8, deadline=None)
@given(load=loads(), by_method=costs(), share=st.floats(0.2, 2.5), tight=st.booleans())
def test_whatever_the_machine_does(
    workers: int, load: Slower, by_method: Mapping[str, float], share: float, tight: bool
) -> None:
    true = true_costs(plan(), by_method)
    enough = seconds_of_one_each(plan(), true, load)
    budget = enough if tight else enough * share
    clock = [1000.0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: clock[0])
        machine = Machine(plan(), true, load, budget, clock, workers=workers)
        machine.run()
    compared = [bool(one & machine.finished) for one in techniques(plan())]
    if budget >= enough:
        assert all(compared), "every technique is compared"
    longest = 4 * (max(true.values()) + OVERHEAD)
    assert machine.end <= budget + longest
    left = [run for run in machine.left_out() if run.needs is None or run.needs in machine.finished]
    if left and machine.unused:
        cheapest = min(machine.cost_now(run) for run in left)
        assert machine.unused < cheapest + DEFAULT_OVERHEAD, "what is left out would not have fitted"


def test_seeds_are_left_out_first_then_fractions_and_pre_training_comes_before_what_starts_from_it() -> None:
    ranks = importance(plan())
    ordered = sorted(plan(), key=lambda run: ranks[run.name])
    keys = [(ranks[run.name].seed, ranks[run.name].fraction, ranks[run.name].row) for run in ordered]
    assert keys == sorted(keys)
    first = [run.name for run in ordered if ranks[run.name].represents_its_technique]
    assert sorted(first) == sorted([
        "pretraining/dino-tiny_resnet-seed0", "pretraining/cass-seed0", "runs/scratch-tiny_resnet-10pct-seed0",
        "runs/dino-tiny_resnet-10pct-seed0", "runs/cass-tiny_resnet-10pct-seed0", "runs/unet-10pct-seed0",
        "runs/cross-10pct-seed0", "runs/picie-0pct-seed0", "runs/colour-10pct-seed0",
    ])  # fmt: skip
    assert [run.name.split("-")[-2] for run in ordered if run.name.startswith("runs/unet")] == 2 * [
        "10pct", "100pct", "50pct",
    ]  # fmt: skip
    names = [run.name for run in ordered]
    assert all(run.needs is None or names.index(run.needs) < names.index(run.name) for run in ordered)


SIX = {"finetune", "dino", "cass", "picie", "dedl", "cross_teaching"}


@pytest.mark.parametrize("slower", [1.0, 4.0])
def test_the_demonstration_compares_six_techniques_on_a_machine_four_times_slower(
    slower: float, tmp_path: Path
) -> None:
    """With costs at which all of it takes 260 s on two workers of a machine that is not slow."""
    runs = list(plan_study(demo_study(tmp_path), tmp_path))
    seconds = {"finetune": 5, "dino": 15, "cass": 15, "picie": 15, "dedl": 8, "cross_teaching": 16}
    true = {run.name: float(seconds.get(run.config.method.name, 1.5)) for run in runs}
    clock = [0.0]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: clock[0])
        machine = Machine(runs, true, lambda at: slower, 300.0, clock, workers=2)
        machine.run()
    names = {run.name: run.config.method.name for run in runs}
    starts = {run.name: names.get(run.needs or "", names[run.name]) for run in runs if run.arm}
    assert {starts[name] for name in machine.finished & starts.keys()} >= SIX
    assert (len(machine.finished) == len(runs)) == (slower == 1.0)
