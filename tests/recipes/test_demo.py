"""The demonstration ends in time, says what it left out, and is not run twice."""

import time
from pathlib import Path

import pytest

from s4mi.recipes.demo import Budget, demo
from s4mi.recipes.demo_plan import CNN, COUNTS, EPOCHS, MASK_FRACTIONS, VIT, plan
from s4mi.recipes.run_dir import RunDir
from s4mi.report.runs import load_runs


def test_the_plan_holds_every_technique_on_both_networks_at_every_fraction_once_a_seed(tmp_path: Path) -> None:
    runs = list(plan(tmp_path, seeds=2))
    assert len({run.name for run in runs}) == len(runs)
    assert [run.planned.config.seed for run in runs] == sorted(run.planned.config.seed for run in runs)
    shown = {
        (run.planned.name.split("/")[1].rsplit("-", 3)[0], run.planned.config.method.backbone_name, fraction)
        for run in runs
        if (fraction := run.planned.config.label_fraction) and run.kind == "lesions" and run.planned.needs
    }
    assert shown == {(start, network, part) for start in ("dino", "cass") for network in (CNN, VIT) for part in EPOCHS}
    scratch = {run.name for run in runs if "scratch" in run.name and run.kind == "lesions"}
    assert len(scratch) == 2 * len(EPOCHS) * 2
    assert {run.kind for run in runs} == set(COUNTS)
    masks = [run.planned.config for run in runs if run.kind == "lesions" and run.planned.config.epoch_steps]
    assert sorted((config.method.name, config.label_fraction) for config in masks) == sorted(
        2 * [(name, part) for name in ("dedl", "cross_teaching") for part in MASK_FRACTIONS]
    )
    assert len({(config.epochs, config.epoch_steps, config.batch_size) for config in masks}) == 1


def test_what_a_run_starts_from_comes_before_it(tmp_path: Path) -> None:
    before: set[str] = set()
    for run in plan(tmp_path, seeds=2):
        assert run.planned.needs is None or f"{run.kind}/{run.planned.needs}" in before
        before.add(run.name)


def test_a_budget_learns_from_runs_that_are_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    first, *others = list(plan(tmp_path, seeds=1))
    alike = next(run for run in plan(tmp_path, seeds=2) if run.like == first.like and run.name != first.name)
    budget = Budget(seconds=first.images * 0.1 + 5)
    assert budget.lacks(first) is None

    class Cost:
        seconds = first.images * 0.2  # a slow machine

    class Record:
        cost = Cost

    budget.learn(first, Record)  # type: ignore[arg-type]
    assert budget.lacks(alike) == pytest.approx(alike.images * 0.2 + 1)
    other = next(run for run in others if run.like != first.like)
    assert budget.lacks(other) is not None  # the machine is as slow with others


def test_without_time_every_run_is_left_out_and_named(tmp_path: Path) -> None:
    said: list[str] = []
    report = demo(tmp_path, seeds=1, seconds=0, say=said.append)
    page = report.read_text(encoding="utf-8")
    for run in plan(tmp_path, seeds=1):
        assert any(line.startswith(f"{run.name}: left out") for line in said)
        assert run.name in page
        assert not RunDir(tmp_path / run.name).finished
    assert "no finished run yet" in page


@pytest.mark.slow
def test_a_second_call_trains_nothing_again(tmp_path: Path) -> None:
    demo(tmp_path, seeds=1, seconds=40)
    finished = {run.directory: run.record.finished for run in load_runs(tmp_path)[0]}
    assert finished
    demo(tmp_path, seeds=1, seconds=0)
    assert {run.directory: run.record.finished for run in load_runs(tmp_path)[0]} == finished
