"""Runs that an erasure says no longer fit are those that their study sets aside, and no others."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from s4mi.config import PlannedRun, make_study, plan_study, save_run_config
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.recipes.erase import erase_patient
from s4mi.studies.run_id import metadata_of, run_identities, write_metadata
from s4mi.studies.run_store import is_finished, run_locations
from s4mi.training.data_state import DIGITS, DataState, _hash, write_data_state
from s4mi.training.outdated_runs import is_outdated

PATIENT = "patient_0003"
TUNED: dict[str, Any] = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
SIMCLR: dict[str, Any] = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}


def planned(place: Path, *, pretrained_on: str, tuned_on: str) -> list[PlannedRun]:
    """Plan a study that pre-trains on one data set and fine-tunes on another, with runs that start from nothing."""
    study = {
        "data": {"path": str(place / tuned_on), "image_size": 32}, "label_fractions": [100], "seeds": [0],
        "pretraining": {"simclr": {"method": SIMCLR, "epochs": 3, "data": {"path": str(place / pretrained_on)}}},
        "settings": {"epochs": 2}, "arms": [{"name": "scratch", "method": TUNED},
                                            {"name": "tuned", "method": TUNED, "pretraining": "simclr"}],
    }  # fmt: skip
    return list(plan_study(make_study(study, origin="study.yaml"), place / "runs" / "out"))


def pretend(place: Path, runs: list[PlannedRun], digests: tuple[str, ...]) -> None:
    """Leave what finished runs leave on disk that have read images of the patient, each in its data set."""
    identities = run_identities(runs)
    rows = {f"copy{number}": (digest[:DIGITS], None, None) for number, digest in enumerate(digests)}
    for one in runs:
        run = place / "runs" / "out" / one.name
        save_run_config(one.config, run / "config.yaml")
        needed = next((other.config for other in runs if other.name == one.needs), None)
        write_metadata(run, metadata_of(needed, identities[one.name], seconds=1))
        write_data_state(run, DataState(hash=_hash([{}, list(rows.items())]), spec={}, rows=rows))
        (run / "split.json").write_text(json.dumps({"train": list(rows), "val": [], "test": []}))
        (run / "record.json").write_text("{}")


@pytest.fixture
def place(tmp_path: Path, lesions: Path) -> Path:
    """A data set, and one with copies of its images under names of its own."""
    shutil.copytree(lesions, tmp_path / "data")
    shutil.copytree(lesions, tmp_path / "other")
    manifest = load_manifest(tmp_path / "other")
    rows = [replace(row, id=f"copy{number}", group=None) for number, row in enumerate(manifest.rows)]
    write_dataset(tmp_path / "other", manifest.spec.model_copy(update={"name": "other"}), rows)
    return tmp_path


@pytest.mark.parametrize("pretrained_on", ["data", "other"])
@pytest.mark.parametrize("tuned_on", ["data", "other"])
def test_those_that_are_counted_are_those_that_the_study_sets_aside(
    place: Path, pretrained_on: str, tuned_on: str
) -> None:
    runs = planned(place, pretrained_on=pretrained_on, tuned_on=tuned_on)
    digests = erase_patient(place / "data", PATIENT, cache=place / "cache").plan.digests
    pretend(place, runs, digests)
    out = place / "runs" / "out"
    assert all(map(is_finished, run_locations(runs, out, run_identities(runs))))
    found = erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache", confirmed=True)
    assert len(found.plan.runs) == len(runs)  # all have seen the image
    after = run_locations(runs, out, run_identities(runs))
    aside = {location.target for location in after if not is_finished(location)}
    assert set(found.outdated) == aside
    expected = {("data", "data"): 3, ("other", "data"): 2, ("data", "other"): 2, ("other", "other"): 0}
    assert len(aside) == expected[pretrained_on, tuned_on]


def test_the_command_says_nothing_of_studies_on_a_data_set_with_copies(place: Path, s4mi: Command) -> None:
    runs = planned(place, pretrained_on="other", tuned_on="other")
    pretend(place, runs, erase_patient(place / "data", PATIENT, cache=place / "cache").plan.digests)
    done = s4mi("data", "erase", place / "data", PATIENT, "--runs", place / "runs", "--cache", place / "cache", "--yes")
    assert done.returncode == 0, done.stderr
    assert "has seen the patient (train)" in " ".join(done.stdout.split())
    assert "sets" not in done.stdout.split()
    assert "trains" not in done.stdout.split()


@pytest.mark.parametrize("in_study", [False, True])
def test_pretraining_counts_though_its_folder_was_moved_if_the_study_noted_it(place: Path, in_study: bool) -> None:
    runs = planned(place, pretrained_on="data", tuned_on="other")
    pretend(place, runs, ())
    tuned = next(place / "runs" / "out" / one.name for one in runs if one.needs)
    pretrained = next(place / "runs" / "out" / one.needs for one in runs if one.needs)
    if not in_study:
        (tuned / "study_run.json").unlink()
    assert is_outdated(tuned, place / "data")
    pretrained.rename(place / "runs" / "moved")
    assert is_outdated(tuned, place / "data") == in_study
    (tuned / "record.json").unlink()
    assert not is_outdated(tuned, place / "data")


@pytest.mark.parametrize("text", ["", "data: 3", "data: {path: 3}", "- a", "data: {path: [", "method: {pretrained: 1}"])
def test_damaged_settings_name_no_data_set(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_text("{}")
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "study_run.json").write_text('{"start": 3}')
    assert not is_outdated(tmp_path, tmp_path)
