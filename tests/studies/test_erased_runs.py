"""A study says which finished runs no longer fit, and that erased patients are the reason, before it trains."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import Command
from s4mi.config import PlannedRun, make_study, plan_study, save_run_config
from s4mi.data.loading.file_hashes import FileHashes
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.recipes.erase import erase_patient
from s4mi.studies.erased_runs import erased_line
from s4mi.studies.events import Event, StudyChecked
from s4mi.studies.run_id import metadata_of, run_identities, write_metadata
from s4mi.studies.runner import StudyRunner
from s4mi.studies.status import study_status
from s4mi.training.data_state import DIGITS, DataState, _hash, write_data_state

PATIENT = "patient_0003"
TUNED: dict[str, Any] = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
SIMCLR: dict[str, Any] = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}


def study(data: Path) -> dict[str, Any]:
    return {
        "data": {"path": str(data), "image_size": 32}, "label_fractions": [100], "seeds": [0, 1],
        "pretraining": {"simclr": {"method": SIMCLR, "epochs": 3}},
        "settings": {"epochs": 2}, "arms": [{"name": "scratch", "method": TUNED},
                                            {"name": "tuned", "method": TUNED, "pretraining": "simclr"}],
    }  # fmt: skip


def planned(place: Path, contents: dict[str, Any] | None = None) -> list[PlannedRun]:
    contents = study(place / "data") if contents is None else contents
    return list(plan_study(make_study(contents, origin="study.yaml"), place / "out"))


def pretend(place: Path) -> None:
    """Leave what runs leave on disk that were trained on the data set as it is."""
    runs = planned(place)
    identities = run_identities(runs)
    rows = load_manifest(place / "data").rows
    digests = FileHashes.hashed([row.image for row in rows])
    hashes = {row.id: (digests[row.image][:DIGITS], None, None) for row in rows}
    state = DataState(hash=_hash([{}, list(hashes.items())]), spec={}, rows=hashes)
    for one in runs:
        run = place / "out" / one.name
        save_run_config(one.config, run / "config.yaml")
        needed = next((other.config for other in runs if other.name == one.needs), None)
        write_metadata(run, metadata_of(needed, identities[one.name], seconds=1))
        write_data_state(run, state)
        (run / "record.json").write_text("{}")


def checked(place: Path, contents: dict[str, Any] | None = None) -> tuple[str, ...]:
    """What a study says of the runs that it moves, before it trains."""
    events: list[Event] = []
    runs = planned(place, contents)
    runner = StudyRunner(runs, place / "out", events.append, identities=run_identities(runs), budget=None)
    runner.load_state()
    (event,) = events
    assert isinstance(event, StudyChecked)
    assert not event.finished
    return event.moved


@pytest.fixture
def place(tmp_path: Path, lesions: Path) -> Path:
    shutil.copytree(lesions, tmp_path / "data")
    return tmp_path


@pytest.mark.parametrize("searched", [False, True], ids=["runs not searched", "runs searched"])
def test_a_study_says_that_runs_are_trained_again_as_patients_were_erased(place: Path, searched: bool) -> None:
    pretend(place)
    names = [one.name for one in planned(place)]
    assert len(names) == 6
    runs = [place / "out"] if searched else []
    found = erase_patient(place / "data", PATIENT, runs=runs, cache=place / "cache", confirmed=True)
    assert sorted(found.outdated) == sorted(place / "out" / name for name in names if searched)
    status = study_status(planned(place), place / "out")
    assert list(status.erased) == names
    (line,) = checked(place)
    assert line == (
        f"patients were erased from the data set: 6 finished runs ({', '.join(names[:3])}, …) no longer fit it "
        "and will be trained again; the old ones are set aside in superseded/"
    )
    assert len(list((place / "out" / "superseded").rglob("record.json"))) == 6
    assert study_status(planned(place), place / "out").erased == ()  # they are set aside already


def test_other_changes_of_data_or_settings_are_no_erasure(place: Path) -> None:
    pretend(place)
    manifest = load_manifest(place / "data")
    rows = [replace(manifest.rows[0], group="other"), *manifest.rows[1:]]
    write_dataset(place / "data", manifest.spec, rows)
    assert study_status(planned(place), place / "out").erased == ()
    (line,) = checked(place)
    assert line.startswith("settings or data have changed: 6 runs (")


def test_runs_that_began_after_the_erasure_are_not_outdated_by_it(place: Path) -> None:
    erase_patient(place / "data", PATIENT, cache=place / "cache", confirmed=True)
    pretend(place)
    manifest = load_manifest(place / "data")
    write_dataset(place / "data", manifest.spec, [replace(manifest.rows[0], group="other"), *manifest.rows[1:]])
    assert study_status(planned(place), place / "out").erased == ()


def test_runs_with_other_settings_or_without_an_end_are_not_counted(place: Path) -> None:
    pretend(place)
    (place / "out" / planned(place)[0].name / "record.json").unlink()
    erase_patient(place / "data", PATIENT, cache=place / "cache", confirmed=True)
    changed = study(place / "data")
    changed["arms"][0]["optim"] = {"lr": 1e-3}
    runs = planned(place, changed)
    expected = [one.name for one in runs[1:] if "scratch" not in one.name]
    assert list(study_status(runs, place / "out").erased) == expected
    first, second = checked(place, changed)
    assert first.startswith(f"patients were erased from the data set: {len(expected)} finished runs (")
    assert second.startswith(f"settings or data have changed: {6 - len(expected)} runs (")


def test_the_commands_say_so_before_anything_is_trained(place: Path, s4mi: Command) -> None:
    pretend(place)
    dry = s4mi("data", "erase", place / "data", PATIENT, "--runs", place / "out", "--cache", place / "cache")
    assert (
        "6 finished runs of studies will no longer fit the data set, from which the patient is erased: s4mi study run "
        "sets them aside in superseded/ and trains them again"
    ) in " ".join(dry.stdout.split())
    done = s4mi("data", "erase", place / "data", PATIENT, "--yes", "--cache", place / "cache")
    assert done.returncode == 0, done.stderr
    assert "s4mi study run sets them aside in superseded/ and trains them again" in " ".join(done.stdout.split())
    (place / "study.yaml").write_text(json.dumps(study(place / "data")))
    shown = s4mi("study", "plan", place / "study.yaml", "-o", place / "out")
    assert shown.returncode == 0, shown.stderr
    assert "patients were erased from the data set: 6 finished runs (" in shown.stderr
    assert "the old ones will be set aside in superseded/" in shown.stderr


def test_one_run_is_one_run() -> None:
    assert erased_line([], done=True) is None
    assert erased_line(["a"], done=True) == (
        "patients were erased from the data set: 1 finished run (a) no longer fits it and will be trained again; "
        "the old one is set aside in superseded/"
    )
