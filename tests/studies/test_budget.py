"""Budget under a mocked clock: which runs fit, how active runs share time, and when a run overruns."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import PlannedRun, RunConfig
from s4mi.records import Cost, LabelCounts, RunRecord
from s4mi.studies.budget import DEFAULT_OVERHEAD, TOLERANCE, TRIAL, Budget, runs_within_budget
from s4mi.training.progress import Progress

Quick = Callable[..., RunConfig]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def record(seconds: float, images: float) -> RunRecord:
    return RunRecord.model_construct(
        task="multiclass", epochs=3, label_fraction=100.0, labels=LabelCounts.model_construct(train_labelled=40),
        cost=Cost.model_construct(seconds=seconds, images_per_second=images / seconds),
    )  # fmt: skip


@pytest.fixture
def runs(lesions: Path, quick: Quick) -> list[PlannedRun]:
    """Three runs of one kind, and one of another."""
    alike = [PlannedRun(f"runs/{seed}", quick(lesions, TRANSFER, seed=seed)) for seed in range(3)]
    return [*alike, PlannedRun("runs/masks", quick(lesions, DEDL, epochs=3, epoch_steps=5))]


def test_without_a_budget_everything_fits(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(None, {"runs/0": 1e9})
    assert budget.seconds_left is None
    assert budget.reason_to_skip(runs[0]) is None


def test_time_of_earlier_calls_is_spent(clock: list[float], runs: list[PlannedRun]) -> None:
    assert Budget(50, {"a": 20, "b": 10}).seconds_left == pytest.approx(20)
    spent = Budget(50, {"a": 50})
    assert spent.seconds_left == 0
    assert spent.reason_to_skip(runs[0]) == "the budget is exhausted"


def test_whether_a_run_fits_is_estimated_from_runs_of_its_kind(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(100, {})
    assert budget.reason_to_skip(runs[0]) is None  # no estimate
    budget.start(runs[0])
    clock[0] += 33
    assert budget.stop(runs[0], record(30, 120)) == pytest.approx(33)
    # 67 s are left; a run of this kind trains for 30 s, with 3 s of overhead
    assert budget.reason_to_skip(runs[1]) is None
    clock[0] += 34.5
    assert budget.reason_to_skip(runs[1]) == "needs about 33 s, but only 32 s of the budget are left"
    assert budget.reason_to_skip(runs[1], epochs_done=1) is None  # one of its three epochs is done


def test_a_run_of_an_unknown_kind_is_estimated_from_the_images_of_others(
    clock: list[float], runs: list[PlannedRun]
) -> None:
    budget = Budget(1000, {})
    budget.start(runs[0])
    budget.stop(runs[0], record(30, 120))  # 0.25 s an image
    seconds = 0.25 * 1.5 * (3 * 5 * 8)  # dedl costs 1.5 times as much
    clock[0] += 1000 - seconds + 1
    assert budget.reason_to_skip(runs[3]) == "needs about 45 s, but only 44 s of the budget are left"
    clock[0] -= 2
    assert budget.reason_to_skip(runs[3]) is None


def test_a_run_that_others_depend_on_leaves_time_for_the_shortest_of_them(
    clock: list[float], runs: list[PlannedRun]
) -> None:
    budget = Budget(100, {})
    budget.start(runs[0])
    clock[0] += 31
    budget.stop(runs[0], record(30, 120))
    assert budget.reason_to_skip(runs[1], dependents=[runs[2]]) is None
    clock[0] += 10
    assert budget.reason_to_skip(runs[1]) is None
    assert (
        budget.reason_to_skip(runs[1], dependents=[runs[2]])
        == "would leave too little time for the runs that depend on it (about 31 s)"
    )


def test_active_runs_share_the_time_and_the_shares_add_up(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(100, {"runs/1": 7.0})
    budget.start(runs[0])
    clock[0] += 10
    budget.start(runs[1])
    clock[0] += 20
    first = budget.stop(runs[0], None)
    clock[0] += 5
    budget.start(runs[2])
    clock[0] += 6
    second, third = budget.stop(runs[1], None), budget.stop(runs[2], None)
    assert first == pytest.approx(10 + 20 / 2)
    assert second == pytest.approx(7 + 20 / 2 + 5 + 6 / 2)
    assert first + second + third == pytest.approx(7 + 41)


def test_a_run_overruns_by_its_own_estimate_which_also_serves_others_of_its_kind(
    clock: list[float], runs: list[PlannedRun]
) -> None:
    budget = Budget(100, {})
    budget.start(runs[0])

    def after(seconds: float, left: float) -> bool:
        clock[0] = 100 + seconds
        step = Progress("train", 3, 30, 1, 3, images_per_second=2, seconds_left=left)
        return budget.overruns(runs[0], step)

    assert not after(TRIAL - 1, left=900)  # too early
    assert not after(TRIAL + 1, left=TOLERANCE * (99 - TRIAL))
    assert after(TRIAL + 1, left=TOLERANCE * (99 - TRIAL) + DEFAULT_OVERHEAD + 0.1)
    budget.stop(runs[0], None)
    # 30 steps of 8 images at two a second: 120 s
    assert (
        budget.reason_to_skip(runs[1]) == f"needs about 2 min, but only {100 - TRIAL - 1:.0f} s of the budget are left"
    )


def test_runs_within_a_budget_one_after_the_other(runs: list[PlannedRun]) -> None:
    first, second, third, other = runs
    needing = PlannedRun("runs/needing", third.config, needs=first.name)
    assert runs_within_budget([(first, 10), (second, 10), (other, None)], seconds_left=22) == {
        first.name: True,
        second.name: True,
    }
    assert runs_within_budget([(first, 30), (needing, 1), (second, 10)], seconds_left=22) == {
        first.name: False, needing.name: False, second.name: True,
    }  # fmt: skip
