"""A study from its file to its records: every run is trained once, whatever fails meanwhile."""

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from conftest import TRANSFER
from s4mi.config import StudyConfig, load_run_config, make_study, plan_study
from s4mi.config.methods import METHODS, register
from s4mi.engine.checkpoint import load_weights
from s4mi.errors import S4miError
from s4mi.recipes.train import train
from s4mi.records import PretrainingRecord, RunRecord, read_epochs, read_failure
from s4mi.reporting.results.runs import load_runs
from s4mi.settings.classification.finetune import FinetuneConfig
from s4mi.studies.events import AttemptFailed, Event, RunEnded, RunOutcome, RunProgress, RunStarted, StudyChecked
from s4mi.studies.lock import LOCK_NAME
from s4mi.studies.run import run_study
from s4mi.studies.run_id import read_metadata
from s4mi.studies.run_state import write_failure
from s4mi.training.progress import Progress

DINO: dict[str, Any] = {
    "name": "dino", "backbone": "tiny_resnet", "weights": "none", "local_crops": 0, "hidden": 16, "bottleneck": 8,
    "prototypes": 16,
}  # fmt: skip
SIMMIM: dict[str, Any] = {"name": "simmim", "backbone": "tiny_resnet", "weights": "none"}
NAMES = [
    "pretraining/dino-seed0",
    "runs/transfer-from-scratch-tiny_resnet-50pct-seed0",
    "runs/transfer-from-scratch-tiny_resnet-100pct-seed0",
    "runs/dino-tiny_resnet-50pct-seed0",
    "runs/dino-tiny_resnet-100pct-seed0",
]
Studied = Callable[..., StudyConfig]


@pytest.fixture(scope="module")
def studied(lesions: Path, cache_dir: Path) -> Studied:
    """A study of tiny networks at two label fractions and one seed."""

    def make(**changes: Any) -> StudyConfig:
        contents = {
            "data": {"path": lesions, "image_size": 32, "cache": cache_dir},
            "label_fractions": [50, 100],
            "seeds": [0],
            "settings": {
                "epochs": 1, "batch_size": 8, "optim": {"lr": 1e-3},
                "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0},
            },
            "pretraining": {"dino": {"method": DINO}},
            "arms": [{"method": TRANSFER}, {"method": TRANSFER, "pretraining": "dino"}],
            **changes,
        }  # fmt: skip
        return make_study(contents, origin="study.yaml")

    return make


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, studied: Studied) -> tuple[StudyConfig, Path, list[RunOutcome]]:
    """A finished study."""
    study, out = studied(), tmp_path_factory.mktemp("studies") / "study"
    return study, out, run_study(study, out)


def started_runs(events: list[Event]) -> list[str]:
    """Names of the runs in the order in which they started."""
    return [event.planned.name for event in events if isinstance(event, RunStarted)]


Finished = tuple[StudyConfig, Path, list[RunOutcome]]


@pytest.mark.long
def test_every_planned_run_is_run_in_the_order_of_the_plan(finished: Finished) -> None:
    study, out, outcomes = finished
    assert [outcome.planned for outcome in outcomes] == list(plan_study(study, out))
    assert [outcome.planned.name for outcome in outcomes] == NAMES
    assert [outcome.reason for outcome in outcomes] == [""] * 5
    assert [type(outcome.record) for outcome in outcomes] == [PretrainingRecord] + 4 * [RunRecord]
    assert {path.parent.relative_to(out).as_posix() for path in out.rglob("record.json")} == set(NAMES)
    for outcome in outcomes:
        config = load_run_config(out / outcome.planned.name / "config.yaml")
        assert outcome.record is not None
        assert outcome.planned.config.hash == config.hash == outcome.record.config_hash


def test_a_run_of_a_study_is_the_same_run_by_itself(tmp_path: Path, finished: Finished) -> None:
    _, out, outcomes = finished
    alone = train(outcomes[1].planned.config, tmp_path / "alone")
    assert isinstance(alone, RunRecord)
    assert isinstance(outcomes[1].record, RunRecord)
    assert alone.test == outcomes[1].record.test
    ends = [load_weights(run / "checkpoints" / "last.safetensors") for run in (tmp_path / "alone", out / NAMES[1])]
    torch.testing.assert_close(*ends, rtol=0, atol=0)


def test_all_label_fractions_start_from_the_same_weights_and_only_those_arms(finished: Finished) -> None:
    outcomes = finished[2]
    started = [outcome.record.pretraining for outcome in outcomes if isinstance(outcome.record, RunRecord)]
    assert started[0] is None
    assert started[1] is None
    assert started[2] == started[3]
    assert started[2] is not None
    assert outcomes[0].record is not None
    assert started[2].config_hash == outcomes[0].record.config_hash
    assert [outcome.record.technique for outcome in outcomes if isinstance(outcome.record, RunRecord)] == [
        "transfer from scratch", "transfer from scratch", "dino", "dino",
    ]  # fmt: skip


def test_arms_at_one_fraction_read_the_same_labels(finished: Finished) -> None:
    _, out, _ = finished
    splits = {name: json.loads((out / name / "split.json").read_text()) for name in NAMES}
    for fraction in ("50pct", "100pct"):
        scratch, dino = (splits[name] for name in NAMES[1:] if f"-{fraction}-" in name)
        assert scratch == dino
    assert set(splits[NAMES[1]]["labelled"]) < set(splits[NAMES[2]]["labelled"])
    assert {tuple(split["test"]) for split in splits.values()} == {tuple(splits[NAMES[0]]["test"])}


def test_a_second_call_trains_no_run_again(finished: Finished) -> None:
    study, out, outcomes = finished
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}

    events: list[Event] = []
    again = run_study(study, out, on_event=events.append)
    assert again == outcomes
    assert events == [StudyChecked(tuple(plan_study(study, out)), tuple(outcomes))]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == files


@pytest.mark.long
def test_only_unfinished_runs_are_trained_with_the_same_result(tmp_path: Path, finished: Finished) -> None:
    study, out, outcomes = finished
    copy = tmp_path / "study"
    shutil.copytree(out, copy)
    for name in NAMES[1:]:
        shutil.rmtree(copy / name)
    events: list[Event] = []
    again = run_study(study, copy, on_event=events.append)
    assert started_runs(events) == NAMES[1:]
    assert again[0].record == outcomes[0].record
    for one, other in zip(again, outcomes, strict=True):
        if isinstance(one.record, RunRecord) and isinstance(other.record, RunRecord):
            assert one.record.test == other.record.test
            assert one.record.pretraining == other.record.pretraining


def test_a_run_that_finished_after_it_was_given_up_has_not_failed(tmp_path: Path, finished: Finished) -> None:
    study, out, outcomes = finished
    shutil.copytree(out, tmp_path / "study")
    write_failure(tmp_path / "study" / NAMES[1], "its host is gone")
    again = run_study(study, tmp_path / "study")
    assert [outcome.record for outcome in again] == [outcome.record for outcome in outcomes]
    assert read_failure(tmp_path / "study" / NAMES[1]) is None


def test_what_a_process_left_that_was_killed_after_its_run_is_removed(tmp_path: Path, finished: Finished) -> None:
    study, out, outcomes = finished
    moved = tmp_path / "study"
    shutil.copytree(out, moved)
    lock = moved / outcomes[-1].planned.name / ".train.lock"
    lock.touch()
    run_study(study, moved)
    assert not lock.exists()


def test_a_finished_study_may_be_moved(tmp_path: Path, finished: Finished) -> None:
    study, out, outcomes = finished
    shutil.copytree(out, tmp_path / "moved")
    again = run_study(study, tmp_path / "moved")
    assert [outcome.reason for outcome in again] == [""] * 5
    assert [outcome.record for outcome in again] == [outcome.record for outcome in outcomes]


@pytest.mark.long
def test_an_interrupted_study_resumes(tmp_path: Path, studied: Studied, finished: Finished) -> None:
    study = studied(label_fractions=[100], arms=[{"method": TRANSFER, "pretraining": "dino"}])
    events: list[Event] = []

    def on_event(event: Event) -> None:
        events.append(event)
        if (
            isinstance(event, RunProgress)
            and event.planned.name.startswith("runs")
            and event.progress.phase == "evaluate"
        ):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path, on_event=on_event)
    assert started_runs(events) == [NAMES[0], NAMES[4]]
    assert read_metadata(tmp_path / NAMES[4]).seconds > 0, "what it took counts as spent"
    pretrained = (tmp_path / NAMES[0] / "record.json").read_bytes()
    outcomes = run_study(study, tmp_path)
    assert (tmp_path / NAMES[0] / "record.json").read_bytes() == pretrained
    whole = finished[2][4].record
    assert isinstance(outcomes[1].record, RunRecord)
    assert isinstance(whole, RunRecord)
    assert outcomes[1].record.test == whole.test


BAD = {"simmim": {"method": {**SIMMIM, "square": 7}}, "dino": {"method": DINO}}
ARMS = [{"method": TRANSFER, "pretraining": "simmim"}, {"method": TRANSFER, "pretraining": "dino"}]


@pytest.mark.long
def test_a_failure_stops_only_the_runs_that_depend_on_it(tmp_path: Path, studied: Studied) -> None:
    events: list[Event] = []
    outcomes = run_study(studied(pretraining=BAD, arms=ARMS), tmp_path, on_event=events.append)
    ended = {event.outcome.planned.name: event.outcome for event in events if isinstance(event, RunEnded)}
    assert [ended[outcome.planned.name] for outcome in outcomes] == outcomes
    by_name = {outcome.planned.name: outcome for outcome in outcomes}
    assert by_name["pretraining/simmim-seed0"].reason.startswith("method.square 7 does not divide data.image_size 32")
    assert by_name["pretraining/simmim-seed0"].record is None
    for fraction in (50, 100):
        waiting = by_name[f"runs/simmim-tiny_resnet-{fraction}pct-seed0"]
        assert waiting.record is None
        assert waiting.reason == "depends on pretraining/simmim-seed0, which failed"
        assert not waiting.attempted
        assert not (tmp_path / waiting.planned.name).exists()
        assert isinstance(by_name[f"runs/dino-tiny_resnet-{fraction}pct-seed0"].record, RunRecord)
    assert isinstance(by_name["pretraining/dino-seed0"].record, PretrainingRecord)


@pytest.mark.long
def test_a_failed_run_is_retried_last_and_recorded(tmp_path: Path, studied: Studied) -> None:
    events: list[Event] = []
    for attempts in (2, 4):  # of all calls
        events.clear()
        run_study(studied(pretraining=BAD, arms=ARMS, label_fractions=[100]), tmp_path, on_event=events.append)
        failure = read_failure(tmp_path / "pretraining/simmim-seed0")
        assert failure is not None
        assert failure.attempts == attempts
        assert failure.reason.startswith("method.square 7 does not divide data.image_size 32")
        tries = [event for event in events if isinstance(event, RunStarted) and "simmim" in event.planned.name]
        assert [one.attempt for one in tries] == [1, 2]
        assert [event.reason for event in events if isinstance(event, AttemptFailed)] == [failure.reason]
        last = [event for event in events if isinstance(event, RunStarted)][-1]
        assert last == tries[-1]


def test_an_unexpected_error_is_one_line_with_its_location_and_a_traceback_in_the_log(
    tmp_path: Path, studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr("s4mi.recipes.train.prepare", broken)
    (outcome,) = run_study(studied(label_fractions=[100], arms=[{"method": TRANSFER}], pretraining={}), tmp_path)
    assert re.fullmatch(r"ZeroDivisionError: first line \(train\.py:\d+\)", outcome.reason)
    log = (tmp_path / outcome.planned.name / "log.txt").read_text()
    assert log.count("Traceback (most recent call last)") == 2
    assert "in broken" in log


@pytest.mark.long
def test_a_full_disk_ends_the_study_in_one_line_and_keeps_finished_runs(
    tmp_path: Path, studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_event(event: Event) -> None:
        if isinstance(event, RunEnded):

            def full(*_: object, **__: object) -> None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr("s4mi.training.session.save_last", full)

    with pytest.raises(S4miError, match=f"^{tmp_path}: the disk is full .*rerun the same command$") as caught:
        run_study(studied(), tmp_path, on_event=on_event)
    assert NAMES[1] in str(caught.value)
    assert (tmp_path / NAMES[0] / "record.json").exists()
    assert not (tmp_path / NAMES[2]).exists()
    assert not (tmp_path / LOCK_NAME).exists()
    monkeypatch.undo()
    assert [outcome.reason for outcome in run_study(studied(), tmp_path)] == [""] * 5


@pytest.mark.long
def test_another_seed_trains_only_that_seed(tmp_path: Path, studied: Studied, finished: Finished) -> None:
    shutil.copytree(finished[1], tmp_path / "study")
    events: list[Event] = []
    outcomes = run_study(studied(seeds=[0, 1]), tmp_path / "study", on_event=events.append)
    assert started_runs(events) == [name.replace("seed0", "seed1") for name in NAMES]
    assert [outcome.record for outcome in outcomes[:5]] == [outcome.record for outcome in finished[2]]


def test_a_running_study_cannot_be_started_again(tmp_path: Path, studied: Studied) -> None:
    study = studied(label_fractions=[100], arms=[{"method": TRANSFER}], pretraining={})
    refused: list[str] = []

    def on_event(event: Event) -> None:
        if isinstance(event, RunStarted):
            with pytest.raises(S4miError, match=f"process {os.getpid()} on .* has been running this study") as caught:
                run_study(study, tmp_path)
            refused.append(str(caught.value))

    (outcome,) = run_study(study, tmp_path, on_event=on_event)
    assert len(refused) == 1
    assert isinstance(outcome.record, RunRecord)


def test_a_run_on_several_devices_is_refused_before_anything_is_trained(tmp_path: Path, studied: Studied) -> None:
    settings = {"epochs": 1, "hardware": {"devices": 2}}
    with pytest.raises(S4miError, match=r"pretraining/dino-seed0: hardware requests 2 devices"):
        run_study(studied(settings=settings), tmp_path / "study", workers=2)
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("pool", [{"workers": 2}, {"ray": "local"}])
def test_a_method_of_a_notebook_is_refused_for_worker_processes(
    pool: dict[str, Any], tmp_path: Path, studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InNotebook(FinetuneConfig):
        name: Literal["in_notebook"] = "in_notebook"  # type: ignore[assignment]

    InNotebook.__module__ = "__main__"
    monkeypatch.setattr(METHODS, "_known", dict(METHODS._known))
    register(InNotebook)
    study = studied(pretraining={}, arms=[{"method": {**TRANSFER, "name": "in_notebook"}}])
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    with pytest.raises(S4miError) as refused:
        run_study(study, tmp_path / "study", **pool)
    assert str(refused.value) == (
        "method 'in_notebook' is defined in the notebook or console: worker processes cannot import it; "
        "use workers=0 or put it in a module"
    )
    assert not (tmp_path / "study").exists()


@pytest.mark.long
def test_once_fixed_only_the_remaining_runs_are_trained(tmp_path: Path, studied: Studied) -> None:
    first = run_study(studied(pretraining=BAD, arms=ARMS, label_fractions=[100]), tmp_path)
    assert [outcome.record is None for outcome in first] == [True, False, True, False]
    fixed = {**BAD, "simmim": {"method": {**SIMMIM, "square": 8}}}
    events: list[Event] = []
    second = run_study(studied(pretraining=fixed, arms=ARMS, label_fractions=[100]), tmp_path, on_event=events.append)
    assert [outcome.reason for outcome in second] == [""] * 4
    assert read_failure(tmp_path / "pretraining/simmim-seed0") is None
    assert started_runs(events) == ["pretraining/simmim-seed0", "runs/simmim-tiny_resnet-100pct-seed0"]
    assert [second[n].record for n in (1, 3)] == [first[n].record for n in (1, 3)]


@pytest.mark.long
def test_a_changed_setting_trains_dependent_runs_and_changing_it_back_restores_the_old_ones(
    tmp_path: Path, studied: Studied, finished: Finished
) -> None:
    out = tmp_path / "study"
    shutil.copytree(finished[1], out)
    events: list[Event] = []
    changed = studied(pretraining={"dino": {"method": {**DINO, "prototypes": 12}}})
    outcomes = run_study(changed, out, on_event=events.append)
    assert started_runs(events) == [NAMES[0], *NAMES[3:]]  # and no run from scratch
    assert [outcome.record for outcome in outcomes[1:3]] == [outcome.record for outcome in finished[2][1:3]]
    aside = {path.parent.relative_to(out).as_posix() for path in (out / "superseded").rglob("record.json")}
    assert {re.sub("-[0-9a-f]{16}$", "", name) for name in aside} == {
        f"superseded/{name}" for name in (NAMES[0], *NAMES[3:])
    }
    assert {run.directory for run in load_runs(out)[0]} == set(NAMES[1:])  # superseded runs are in no report

    events.clear()
    back = run_study(studied(), out, on_event=events.append)
    assert started_runs(events) == []
    assert [outcome.record for outcome in back] == [outcome.record for outcome in finished[2]]
    assert sum(isinstance(event, StudyChecked) and len(event.moved) == 2 for event in events) == 1


@pytest.mark.long
def test_without_budget_runs_are_skipped_and_with_more_they_are_trained(tmp_path: Path, studied: Studied) -> None:
    none = run_study(studied(budget="0.000001 s"), tmp_path)
    assert all(outcome.skipped and outcome.record is None and not outcome.attempted for outcome in none)
    assert none[0].reason == "the budget is exhausted"
    assert none[4].reason == f"depends on {NAMES[0]}, which was skipped"
    some = run_study(studied(budget="1 h"), tmp_path)
    assert [outcome.reason for outcome in some] == [""] * 5
    spent = sum(read_metadata(tmp_path / name).seconds for name in NAMES)
    assert spent > 0
    again = run_study(studied(budget=f"{spent / 2} s", seeds=[0, 1]), tmp_path)  # spent by the finished runs
    assert [outcome.skipped for outcome in again] == [False] * 5 + [True] * 5


@pytest.mark.long
def test_a_run_that_overruns_is_stopped_and_resumed_later(
    tmp_path: Path, studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"epochs": 4, "batch_size": 8, "hardware": {"accelerator": "cpu", "checkpoint_seconds": 0}}
    arms = {"arms": [{"method": TRANSFER}], "pretraining": {}, "label_fractions": [100], "settings": settings}

    def overruns(_: object, planned: object, progress: Progress) -> bool:
        return progress.phase == "train" and progress.epoch == 3

    with monkeypatch.context() as patched:
        patched.setattr("s4mi.studies.budget.Budget.overruns", overruns)
        (outcome,) = run_study(studied(budget="1 h", **arms), tmp_path)
    assert outcome.skipped
    assert outcome.reason == "stopped: at its measured speed it exceeds the remaining budget"
    run = tmp_path / outcome.planned.name
    assert read_failure(run) is None
    assert len(read_epochs(run)) == 2
    (outcome,) = run_study(studied(**arms), tmp_path)
    assert isinstance(outcome.record, RunRecord)
    whole = train(outcome.planned.config, tmp_path / "alone")
    assert isinstance(whole, RunRecord)
    assert outcome.record.test == whole.test
