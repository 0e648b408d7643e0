"""A budget under a clock that the test moves: what fits, what is shared, and what a run's own steps show."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEDL, TRANSFER
from s4mi.config import PlannedRun, RunConfig
from s4mi.records import Cost, LabelCounts, RunRecord
from s4mi.studies.budget import OVER, SCORING, TRIAL, Budget, split_by_budget
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
    """Three of one kind, and one of another."""
    alike = [PlannedRun(f"runs/{seed}", quick(lesions, TRANSFER, seed=seed)) for seed in range(3)]
    return [*alike, PlannedRun("runs/masks", quick(lesions, DEDL, epochs=3, epoch_steps=5))]


def test_without_a_budget_everything_fits(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(None, {"runs/0": 1e9})
    assert budget.left is None
    assert budget.lacks(runs[0]) is None


def test_what_earlier_calls_have_taken_is_spent(clock: list[float], runs: list[PlannedRun]) -> None:
    assert Budget(50, {"a": 20, "b": 10}).left == pytest.approx(20)
    spent = Budget(50, {"a": 50})
    assert spent.left == 0
    assert spent.lacks(runs[0]) == "the budget is spent"


def test_a_run_fits_if_its_like_has_shown_so(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(100, {})
    assert budget.lacks(runs[0]) is None  # nobody knows
    budget.begin(runs[0])
    clock[0] += 33
    assert budget.end(runs[0], record(30, 120)) == pytest.approx(33)
    # 67 s are left; a run like it takes 30 s, and 3 s beside
    assert budget.lacks(runs[1]) is None
    clock[0] += 34.5
    assert budget.lacks(runs[1]) == "it would take about 33 s, and 32 s of the budget are left"
    assert budget.lacks(runs[1], epochs=1) is None  # one of its three epochs is done


def test_a_run_like_none_is_guessed_by_the_images_of_others(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(1000, {})
    budget.begin(runs[0])
    budget.end(runs[0], record(30, 120))  # 0.25 s an image
    seconds = 0.25 * 1.5 * (3 * 5 * 8)  # of dedl, half as dear again
    clock[0] += 1000 - seconds + 1
    assert budget.lacks(runs[3]) == "it would take about 45 s, and 44 s of the budget are left"
    clock[0] -= 2
    assert budget.lacks(runs[3]) is None


def test_what_others_start_from_leaves_time_for_the_shortest_of_them(
    clock: list[float], runs: list[PlannedRun]
) -> None:
    budget = Budget(100, {})
    budget.begin(runs[0])
    clock[0] += 31
    budget.end(runs[0], record(30, 120))
    assert budget.lacks(runs[1], next_ones=[runs[2]]) is None
    clock[0] += 10
    assert budget.lacks(runs[1]) is None
    assert budget.lacks(runs[1], next_ones=[runs[2]]) == "it would leave no time for what starts from it, about 31 s"


def test_runs_at_a_time_share_it_and_the_shares_are_the_whole(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(100, {"runs/1": 7.0})
    budget.begin(runs[0])
    clock[0] += 10
    budget.begin(runs[1])
    clock[0] += 20
    first = budget.end(runs[0], None)
    clock[0] += 5
    budget.begin(runs[2])
    clock[0] += 6
    second, third = budget.end(runs[1], None), budget.end(runs[2], None)
    assert first == pytest.approx(10 + 20 / 2)
    assert second == pytest.approx(7 + 20 / 2 + 5 + 6 / 2)
    assert first + second + third == pytest.approx(7 + 41)


def test_a_run_s_own_steps_stop_it_and_tell_of_its_like(clock: list[float], runs: list[PlannedRun]) -> None:
    budget = Budget(100, {})
    budget.begin(runs[0])

    def after(seconds: float, left: float) -> bool:
        clock[0] = 100 + seconds
        step = Progress("train", 3, 30, 1, 3, images_per_second=2, seconds_left=left)
        return budget.overruns(runs[0], step)

    assert not after(TRIAL - 1, left=900)  # too early to tell
    assert not after(TRIAL + 1, left=OVER * (99 - TRIAL))
    assert after(TRIAL + 1, left=OVER * (99 - TRIAL) + SCORING + 0.1)
    budget.end(runs[0], None)
    # 30 steps of 8 images at two a second: 120 s
    assert budget.lacks(runs[1]) == f"it would take about 2 min, and {100 - TRIAL - 1:.0f} s of the budget are left"


def test_a_plan_says_what_fits_one_after_the_other(runs: list[PlannedRun]) -> None:
    first, second, third, other = runs
    needing = PlannedRun("runs/needing", third.config, needs=first.name)
    assert split_by_budget([(first, 10), (second, 10), (other, None)], left=22) == {first.name: True, second.name: True}
    assert split_by_budget([(first, 30), (needing, 1), (second, 10)], left=22) == {
        first.name: False, needing.name: False, second.name: True,
    }  # fmt: skip
