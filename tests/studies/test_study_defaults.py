"""One test part for all seeds, labels counted by profile, and studies that were begun before that keep their runs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s4mi.config import PlannedRun, RunConfig, StudyConfig, make_study, plan_study
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.errors import S4miError
from s4mi.records import STUDY_NAME, RunRecord, read_record
from s4mi.studies import run_state
from s4mi.studies.preflight import check_plan
from s4mi.studies.run import run_study
from s4mi.studies.run_id import run_identities
from s4mi.studies.run_state import as_begun, check_study_format, defaults_of
from s4mi.studies.status import study_status
from s4mi.training.prepare import prepare

FROZEN: dict[str, Any] = {"name": "frozen", "backbone": "tiny_resnet", "weights": "none", "join": []}
OLD: dict[str, Any] = {
    "resample": "test", "labels": {"count_validation": False}, "selection": "validation",
}  # fmt: skip


@pytest.fixture
def study(lesions: Path, cache_dir: Path) -> Callable[..., StudyConfig]:
    """A study of seconds."""

    def make(**changes: Any) -> StudyConfig:
        contents = {
            "data": {"path": str(lesions), "image_size": 32, "cache": str(cache_dir)},
            "seeds": [0, 1, 2],
            "label_fractions": [50],
            "settings": {"hardware": {"accelerator": "cpu"}, "epochs": 1},
            "arms": [{"name": "frozen", "method": FROZEN}],
            **changes,
        }
        return make_study(contents, origin="test")

    return make


def planned(study: StudyConfig) -> list[PlannedRun]:
    return list(plan_study(study, Path("/out")))


def test_all_seeds_are_tested_on_the_same_images(study: Callable[..., StudyConfig]) -> None:
    parts = [prepare(run.config).split for run in planned(study())]
    assert len({split.test for split in parts}) == 1
    assert len({split.val for split in parts}) == 3
    assert len({split.labelled for split in parts}) == 3
    resampled = [prepare(run.config).split for run in planned(study(resample="test"))]
    assert len({split.test for split in resampled}) == 3


def test_a_seed_of_the_split_keeps_all_three_parts(study: Callable[..., StudyConfig]) -> None:
    parts = [prepare(run.config).split for run in planned(study(split={"seed": 5}))]
    assert len({(split.train, split.val, split.test) for split in parts}) == 1


@pytest.mark.parametrize(
    ("changes", "counted", "selection"),
    [
        ({}, False, "validation"),
        ({"profile": "paper"}, False, "validation"),
        ({"profile": "small"}, True, "cross_validation"),
        ({"profile": "strong"}, True, "cross_validation"),
        ({"profile": "small", "labels": {"count_validation": False}}, False, "cross_validation"),
        ({"profile": "small", "selection": "last"}, True, "last"),
        ({"profile": "small", "settings": {"selection": "validation"}}, True, "validation"),
    ],
)
def test_the_profile_says_which_labels_count(
    changes: dict[str, Any], counted: bool, selection: str, study: Callable[..., StudyConfig]
) -> None:
    for run in planned(study(**changes)):
        assert (run.config.labels.count_validation, run.config.selection) == (counted, selection)


@pytest.mark.parametrize("profile", ["small", None])
def test_a_study_that_was_begun_before_keeps_its_runs(
    profile: str | None, study: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    old, new = study(profile=profile, **OLD), study(profile=profile)
    (tmp_path / STUDY_NAME).write_text(json.dumps({"format": 2, "s4mi": "0.1", "runs": {}}))
    assert defaults_of(tmp_path) == 1
    ids = [{name: one.id for name, one in run_identities(planned(one)).items()} for one in (old, new)]
    assert ids[0] != ids[1]
    again = as_begun(new, tmp_path)
    assert {name: one.id for name, one in run_identities(planned(again)).items()} == ids[0]
    chosen = as_begun(study(profile=profile, resample="validation", selection="last"), tmp_path)
    assert (chosen.resample, chosen.selection) == ("validation", "last")


def test_settings_that_change_nothing_are_not_part_of_the_id(study: Callable[..., StudyConfig]) -> None:
    (plain, *_) = (run.config for run in planned(study(**OLD)))

    def hash_with(**update: Any) -> str:
        return RunConfig.model_validate({**plain.model_dump(), **update}).hash

    counted: dict[str, Any] = {"count_validation": True}
    assert plain.hash == hash_with(labels={"count_validation": False, "hold_out": 0.4})
    assert plain.hash == hash_with(tests={"b": {"path": "/somewhere"}})
    assert plain.hash != hash_with(selection="last")
    assert plain.hash != hash_with(labels=counted)
    assert hash_with(labels=counted) != hash_with(labels={**counted, "hold_out": 0.4})
    assert hash_with(labels=counted, selection="last") == hash_with(
        labels={**counted, "hold_out": 0.4}, selection="last"
    )


def test_a_new_study_remembers_its_defaults_and_goes_on(study: Callable[..., StudyConfig], tmp_path: Path) -> None:
    run_study(study(seeds=[0]), tmp_path / "study")
    assert json.loads((tmp_path / "study" / STUDY_NAME).read_text())["defaults"] == 2
    before = read_record(tmp_path / "study" / "runs" / "frozen-50pct-seed0")
    assert before.data is not None
    assert "test part of seed 0" in before.data.division
    outcomes = run_study(study(seeds=[0]), tmp_path / "study")
    assert [outcome.record for outcome in outcomes] == [before]
    (tmp_path / "study" / STUDY_NAME).unlink()  # as a message advises where it is damaged
    assert defaults_of(tmp_path / "study") == 2
    assert defaults_of(tmp_path / "nowhere") == 2


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clinic") / "data"
    write_synthetic("lesions", folder, count=12, size=48, seed=5)
    return folder


@pytest.mark.long
def test_runs_are_scored_on_external_sets_also_when_these_come_later(
    clinic: Path, study: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    out = tmp_path / "study"
    run_study(study(seeds=[0, 1]), out)
    started = [read_record(run).started for run in sorted((out / "runs").iterdir())]
    tested = study(seeds=[0, 1], tests={"clinic_b": {"path": str(clinic)}})
    waiting = study_status(list(plan_study(tested, out)), out)
    assert [run.state.untested for run in waiting.runs] == [("clinic_b",)] * 2
    outcomes = run_study(tested, out)
    for outcome, before in zip(outcomes, started, strict=True):
        assert isinstance(outcome.record, RunRecord)
        assert outcome.record.started == before
        assert outcome.record.external["clinic_b"].images == 12
    done = study_status(list(plan_study(tested, out)), out)
    assert all(run.state.done for run in done.runs)


def test_an_interrupted_evaluation_of_a_study_is_taken_up_again(
    clinic: Path, study: Callable[..., StudyConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from s4mi.training import external

    tests = {"a": {"path": str(clinic)}, "b": {"path": str(clinic)}}
    real = external._write_files

    def stop(evaluation: Any, folder: Path, name: str) -> None:
        if name == "b":
            raise KeyboardInterrupt
        real(evaluation, folder, name)

    monkeypatch.setattr(external, "_write_files", stop)
    with pytest.raises(KeyboardInterrupt):
        run_study(study(seeds=[0], tests=tests), tmp_path)
    (run,) = (tmp_path / "runs").iterdir()
    assert [*read_record(run).external] == ["a"]
    started = read_record(run).started
    monkeypatch.undo()
    (outcome,) = run_study(study(seeds=[0], tests=tests), tmp_path)
    assert isinstance(outcome.record, RunRecord)
    assert [*outcome.record.external] == ["a", "b"]
    assert outcome.record.started == started


def test_external_sets_are_for_the_arms_whose_task_they_have(
    clinic: Path, study: Callable[..., StudyConfig], tmp_path: Path
) -> None:
    labels_only = tmp_path / "labels"
    shutil.copytree(clinic, labels_only)
    manifest = load_manifest(labels_only)
    write_dataset(labels_only, manifest.spec.model_copy(update={"tasks": ("multiclass",)}), manifest.rows)
    arms = [
        {"name": "frozen", "method": FROZEN},
        {"name": "unet", "method": {"name": "dedl", "encoder": "tiny_resnet", "weights": "none"}},
    ]
    plan = planned(study(arms=arms, tests={"b": {"path": str(labels_only)}}, seeds=[0]))
    assert {run.arm: [*run.config.tests] for run in plan} == {"frozen": ["b"], "unet": []}
    with pytest.raises(S4miError, match=r"tests\.b: .*nowhere"):
        check_plan(planned(study(tests={"b": {"path": str(tmp_path / "nowhere")}})))
    assert run_state.older_defaults(tmp_path / "nowhere") == ""


def test_a_study_file_that_is_nested_without_end_is_said_by_whoever_checks_it(tmp_path: Path) -> None:
    (tmp_path / STUDY_NAME).write_text("[" * 100_000)
    assert defaults_of(tmp_path) == run_state.DEFAULTS
    with pytest.raises(S4miError, match=STUDY_NAME):
        check_study_format(tmp_path)
