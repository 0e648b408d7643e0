"""The demonstration ends in time, says what it left out, and is not run twice."""

from pathlib import Path

import pytest

from s4mi.recipes.demo import ARMS, EPOCHS, demo, plan
from s4mi.report.runs import load_runs


def test_the_plan_holds_every_arm_at_every_fraction_once_a_seed(tmp_path: Path) -> None:
    planned = list(plan(tmp_path, seeds=2))
    assert len({run.name for run in planned}) == len(planned) == 2 * len(ARMS) * len(EPOCHS)
    assert [run.config.seed for run in planned] == sorted(run.config.seed for run in planned)
    assert len({run.config.hash for run in planned}) < len(planned)  # data sets share settings …
    assert len({(run.config.hash, run.arm.kind) for run in planned}) == len(planned)  # … and nothing else does


def test_without_time_every_run_is_left_out_and_named(tmp_path: Path) -> None:
    said: list[str] = []
    report = demo(tmp_path, seeds=1, seconds=0, say=said.append)
    page = report.read_text(encoding="utf-8")
    for run in plan(tmp_path, seeds=1):
        assert any(line.startswith(f"{run.name}: left out") for line in said)
        assert run.name in page
    assert "no finished run yet" in page


@pytest.mark.slow
def test_a_second_call_trains_nothing_again(tmp_path: Path) -> None:
    demo(tmp_path, seeds=1, seconds=40)
    finished = {run.directory: run.record.finished for run in load_runs(tmp_path / "runs")[0]}
    assert finished
    demo(tmp_path, seeds=1, seconds=0)
    assert {run.directory: run.record.finished for run in load_runs(tmp_path / "runs")[0]} == finished
