"""The demonstration is a regular study of all techniques of the paper, and keeps to its budget."""

from collections import Counter
from pathlib import Path

import pytest

from s4mi.config import load_study, plan_study
from s4mi.reporting.results.runs import load_runs
from s4mi.studies.demo import (
    EFFORTS,
    demo_notes,
    demo_study,
    demo_text,
    draw,
    effort_for,
    effort_of,
    example_sheets,
)
from s4mi.studies.run import run_study

SHIPPED = Path(__file__).parents[2] / "studies/demo.yaml"
NETWORK = "tiny_resnet"


def test_the_shipped_study_is_that_of_the_demonstration(tmp_path: Path) -> None:
    assert SHIPPED.read_text(encoding="utf-8") == demo_text()
    study = demo_study(tmp_path / "a folder, 'of mine'")
    shipped = load_study(SHIPPED)
    here, there = list(plan_study(study, tmp_path)), list(plan_study(shipped, tmp_path))
    assert [run.name for run in here] == [run.name for run in there]
    assert [run.config.hash for run in here] == [run.config.hash for run in there]
    assert {run.config.data.path.parent for run in here} == {tmp_path / "a folder, 'of mine'" / "data"}
    assert {run.config.data.cache for run in here} == {tmp_path / "a folder, 'of mine'" / "cache"}
    assert shipped.seconds == 300
    assert len(shipped.seeds) == 2


def test_it_compares_the_six_techniques_of_the_paper(tmp_path: Path) -> None:
    runs = list(plan_study(demo_study(tmp_path, seeds=1), tmp_path))
    lesions = [run for run in runs if run.name.startswith("lesions/runs/")]
    starts = Counter(
        ((run.needs or "none/none").split("/")[-1].split("-")[0], run.config.method.backbone_name)
        for run in lesions
        if run.config.method.name == "finetune"
    )
    assert starts == {(start, NETWORK): 2 for start in ("none", "dino", "cass")}
    assert Counter(run.config.method.name for run in lesions if run.config.method.name != "finetune") == {
        "dedl": 2, "cross_teaching": 2, "picie": 1, "frozen": 4, "classical": 4, "classical_segmenter": 2,
    }  # fmt: skip


def test_compared_techniques_train_for_the_same_number_of_steps(tmp_path: Path) -> None:
    steps: dict[tuple[str, bool], set[int]] = {}
    for run in plan_study(demo_study(tmp_path, seeds=1), tmp_path):
        config = run.config
        if not config.method.unlabelled and not config.method.fitted:
            assert config.epoch_steps is not None
            key = (run.name.split("/")[0], config.method.name == "finetune")
            steps.setdefault(key, set()).add(config.epochs * config.epoch_steps * config.batch_size)
    assert all(len(found) == 1 for found in steps.values())


def test_a_slow_machine_trains_fewer_epochs_and_never_fewer_techniques(tmp_path: Path) -> None:
    usual, slow = (list(plan_study(demo_study(tmp_path / "d", effort=one), tmp_path)) for one in (1.0, 0.5))
    assert [run.name for run in slow] == [run.name for run in usual]
    for one, other in zip(usual, slow, strict=True):
        if not one.config.method.fitted:
            assert other.config.epochs == round(one.config.epochs / 2)
            if one.config.optim.schedule == "cosine":
                assert other.config.optim.cosine_epochs == other.config.epochs
    # A run of every technique was measured to take 88 s of one core, of which 7 are the start.
    assert effort_for(2.0, seconds=290) == effort_for(0.5, seconds=290) == 1.0
    assert effort_for(0.3, seconds=280) == 0.5
    assert effort_for(0.1, seconds=280) == min(EFFORTS)
    assert "50 % of the usual epochs" in demo_notes(0.5)[0]
    assert "64 steps of 16 images" in " ".join(demo_notes(0.5))
    assert "slow" not in " ".join(demo_notes())


def test_a_study_that_was_begun_keeps_its_epochs(tmp_path: Path) -> None:
    assert effort_of(tmp_path) is None
    for effort in EFFORTS:
        demo_study(tmp_path, effort=effort)
        assert effort_of(tmp_path) == effort
    (tmp_path / "study.yaml").write_text("seeds: [0]\n")
    assert effort_of(tmp_path) is None


def test_drawn_images_are_shown_and_not_drawn_again(tmp_path: Path) -> None:
    lines: list[str] = []
    manifests = draw(tmp_path, lines.append)
    assert [line.split()[-1] for line in lines] == ["lesions", "cells"]
    sheets = example_sheets(manifests)
    assert [sheet.dataset for sheet in sheets] == ["synthetic-lesions", "synthetic-cells"]
    assert all(sheet.png.startswith(b"\x89PNG") and "not photographed" in sheet.caption for sheet in sheets)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    draw(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")} == before


def test_without_budget_every_run_is_skipped_and_nothing_is_trained(tmp_path: Path) -> None:
    draw(tmp_path)
    outcomes = run_study(demo_study(tmp_path, seeds=1, seconds=0), tmp_path)
    assert all(outcome.skipped for outcome in outcomes)
    assert load_runs(tmp_path) == ([], [])


@pytest.mark.slow
def test_a_second_call_trains_nothing_again(tmp_path: Path) -> None:
    draw(tmp_path)
    study = demo_study(tmp_path, seeds=1, seconds=90)
    first = run_study(study, tmp_path)
    finished = {outcome.planned.name: outcome.record for outcome in first if outcome.record is not None}
    assert finished
    again = run_study(demo_study(tmp_path, seeds=1, seconds=0), tmp_path)
    assert {outcome.planned.name: outcome.record for outcome in again if outcome.record is not None} == finished
