"""Which runs are trained again when a study file changes, checked against a naive rule for each; no run is lost."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from s4mi.config import PlannedRun, make_study, plan_study, save_run_config
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.errors import S4miError
from s4mi.records import SUPERSEDED
from s4mi.studies.run_id import metadata_of, run_identities, write_metadata
from s4mi.studies.run_state import check_study_format, write_study_file
from s4mi.studies.run_store import RunLocation, arrange_runs, is_finished, run_locations

SIMCLR: dict[str, Any] = {"name": "simclr", "backbone": "tiny_resnet", "weights": "none"}
TUNED: dict[str, Any] = {"name": "finetune", "backbone": "tiny_resnet", "weights": "none"}
MASKS: dict[str, Any] = {"name": "dedl", "encoder": "tiny_resnet", "weights": "none"}


def study(data: Path) -> dict[str, Any]:
    return {
        "data": {"path": str(data), "image_size": 32},
        "label_fractions": [50, 100],
        "seeds": [0, 1],
        "settings": {"epochs": 2, "batch_size": 8},
        "pretraining": {"simclr": {"method": SIMCLR, "epochs": 3}, "other": {"method": SIMCLR, "epochs": 4}},
        "arms": [
            {"name": "scratch", "method": TUNED},
            {"name": "tuned", "method": TUNED, "pretraining": "simclr"},
            {"name": "masks", "method": MASKS, "label_fractions": [100]},
        ],
    }


def plan(contents: dict[str, Any], out: Path) -> list[PlannedRun]:
    return list(plan_study(make_study(contents, origin="study.yaml"), out))


def pretend(contents: dict[str, Any], out: Path) -> list[str]:
    """Do what a study does except for training, and return the runs that it would have trained."""
    runs = plan(contents, out)
    identities = run_identities(runs)
    locations = run_locations(runs, out, identities)
    before = {location.planned.name: is_finished(location) for location in locations}
    arrange_runs(locations)
    trained = []
    for planned in runs:
        run = out / planned.name
        if (run / "record.json").exists():
            assert before[planned.name]
            continue
        trained.append(planned.name)
        needed = next((other.config for other in runs if other.name == planned.needs), None)
        save_run_config(planned.config, run / "config.yaml")
        write_metadata(run, metadata_of(needed, identities[planned.name], seconds=1))
        (run / "record.json").write_text(f"{planned.name} {identities[planned.name].id}")
    return trained


def held(out: Path) -> set[str]:
    """Contents of all records, wherever they are."""
    return {path.read_text() for path in out.rglob("record.json")}


def set_in(contents: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(contents)
    *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    section: Any = changed
    for part in path:
        section = section[part]
    section[last] = value
    return changed


Rule = Callable[[str], bool]
"""Which runs depend on a setting, judged by their names alone."""
CHANGES: list[tuple[str, Any, Rule]] = [
    ("settings.epochs", 5, lambda name: "pretraining" not in name),  # pre-training has its own epochs
    ("settings.batch_size", 4, lambda name: True),
    ("data.image_size", 48, lambda name: True),
    ("split", {"ratios": [0.6, 0.2, 0.2]}, lambda name: True),
    ("pretraining.simclr.epochs", 9, lambda name: "simclr" in name or "tuned" in name),
    ("pretraining.simclr.method", {**SIMCLR, "temperature": 0.3}, lambda name: "simclr" in name or "tuned" in name),
    ("pretraining.other.epochs", 9, lambda name: False),  # no arm starts from it, so it is not run
    ("arms.0.optim", {"lr": 1e-3}, lambda name: "scratch" in name),
    ("arms.1.optim", {"lr": 1e-3}, lambda name: "tuned" in name),
    ("arms.1.pretraining", "other", lambda name: "tuned" in name or "other" in name),  # no arm needed it before
    ("arms.2.method", {**MASKS, "decoder_channels": [16, 8, 8, 8]}, lambda name: "masks" in name),
    ("arms.2.select", "dice", lambda name: "masks" in name),
    ("seeds", [0, 1, 2], lambda name: name.endswith("seed2")),
    ("seeds", [1], lambda name: False),
    ("label_fractions", [50, 100, 70], lambda name: "70pct" in name),
    # Settings of where and how fast runs are computed, and names, train nothing again.
    ("settings.hardware", {"threads": 1}, lambda name: False),
    ("settings.health", {"every": 2}, lambda name: False),
    ("data.cache", "/elsewhere", lambda name: False),
    ("budget", "3 h", lambda name: False),
    ("arms.0.name", "from-nothing", lambda name: False),
]


@pytest.mark.long
@pytest.mark.parametrize(("key", "value", "depends"), CHANGES, ids=lambda part: part if isinstance(part, str) else "")
def test_a_changed_setting_trains_exactly_the_runs_that_depend_on_it(
    tmp_path: Path, lesions: Path, key: str, value: Any, depends: Rule
) -> None:
    first = study(lesions)
    assert pretend(first, tmp_path) == [planned.name for planned in plan(first, tmp_path)]
    assert pretend(first, tmp_path) == []
    trained = held(tmp_path)
    changed = set_in(first, key, value)
    assert pretend(changed, tmp_path) == [p.name for p in plan(changed, tmp_path) if depends(p.name)]
    assert held(tmp_path) >= trained  # no run is lost
    assert pretend(first, tmp_path) == []  # and all are restored
    assert pretend(changed, tmp_path) == []


@pytest.fixture(scope="module")
def stored_study(tmp_path_factory: pytest.TempPathFactory, lesions: Path) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("store")
    pretend(study(lesions), out)
    return study(lesions), out


FIELDS = {
    "settings.epochs": [2, 5], "pretraining.simclr.epochs": [3, 9], "arms.0.epochs": [2, 7], "arms.1.epochs": [2, 7],
    "arms.1.pretraining": ["simclr", "other"], "settings.batch_size": [8, 4], "seeds": [[0, 1], [1], [0, 2]],
    "arms.0.name": ["scratch", "nothing"],
}  # fmt: skip


@pytest.mark.long
@settings(max_examples=5, deadline=None)
@given(
    steps=st.lists(st.fixed_dictionaries({key: st.sampled_from(values) for key, values in FIELDS.items()}), max_size=3)
)
def test_after_any_sequence_of_changes_each_run_is_trained_once(
    stored_study: tuple[dict[str, Any], Path], steps: list[dict[str, Any]]
) -> None:
    contents, done = stored_study
    out = done.with_name("through")
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(done, out)
    ever = {identity.id for identity in run_identities(plan(contents, out)).values()}
    for step in steps:
        changed = contents
        for key, value in step.items():
            changed = set_in(changed, key, value)
        runs = plan(changed, out)
        wanted = {planned.name: run_identities(runs)[planned.name].id for planned in runs}
        trained = pretend(changed, out)
        assert {wanted[name] for name in trained} == set(wanted.values()) - ever
        ever |= set(wanted.values())
        assert {text.split()[1] for text in held(out)} == ever
        for name, identity in wanted.items():
            assert (out / name / "record.json").read_text().endswith(identity)


def test_an_id_does_not_depend_on_the_machine_but_on_the_labels(tmp_path: Path, lesions: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        shutil.copytree(lesions, folder / "data")
    ids = [
        {name: one.id for name, one in run_identities(plan(study(folder / "data"), folder / "out")).items()}
        for folder in (here, there)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == len(ids[0])
    manifest = load_manifest(there / "data")
    rows = list(manifest.rows)
    write_dataset(there / "data", manifest.spec, list(reversed(rows)))
    assert {n: o.id for n, o in run_identities(plan(study(there / "data"), there)).items()} == ids[0]  # as one set
    write_dataset(there / "data", manifest.spec, rows[:-1])
    other = {name: one.id for name, one in run_identities(plan(study(there / "data"), there)).items()}
    assert set(other.values()).isdisjoint(ids[0].values())


def test_a_weight_file_is_identified_by_its_name(lesions: Path, tmp_path: Path) -> None:
    arms = [
        [{"method": {**TUNED, "weights": f"{folder}/net.safetensors"}}] for folder in ("/here", "/there/below", ".")
    ]
    first, second, third = (
        [one.id for one in run_identities(plan({**study(lesions), "arms": each}, tmp_path)).values()] for each in arms
    )
    assert first == second == third


def test_a_finished_study_is_recognised_without_its_data_set(tmp_path: Path, lesions: Path) -> None:
    shutil.copytree(lesions, tmp_path / "data")
    pretend(study(tmp_path / "data"), tmp_path / "out")
    shutil.rmtree(tmp_path / "data")
    runs = plan(study(tmp_path / "data"), tmp_path / "out")
    assert all(is_finished(location) for location in run_locations(runs, tmp_path / "out", run_identities(runs)))


@pytest.mark.long
def test_runs_of_an_older_version_are_recognised_with_their_pre_training(tmp_path: Path, lesions: Path) -> None:
    first = study(lesions)
    pretend(first, tmp_path)
    for kept in tmp_path.rglob("study_run.json"):
        kept.unlink()
    hashes = {planned.name: planned.config.hash for planned in plan(first, tmp_path)}
    for planned in plan(first, tmp_path):
        if planned.needs is not None:
            started = {"method": "simclr", "config_hash": hashes[planned.needs], "encoder": "tiny_resnet",
                       "weights_hash": "0", "epochs": 3, "images": 9, "seconds": 1.0}  # fmt: skip
            (tmp_path / planned.name / "pretraining.json").write_text(json.dumps(started))
    assert pretend(first, tmp_path) == []
    changed = set_in(first, "pretraining.simclr.epochs", 9)
    assert all("simclr" in name or "tuned" in name for name in pretend(changed, tmp_path))
    assert len(pretend(set_in(first, "pretraining.simclr.epochs", 9), tmp_path)) == 0


def test_a_folder_without_a_run_is_a_conflict_and_stays(tmp_path: Path, lesions: Path) -> None:
    name = "runs/scratch-50pct-seed0"
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "notes.txt").write_text("mine")
    (tmp_path / "runs/scratch-100pct-seed0").mkdir()
    (tmp_path / "runs/scratch-100pct-seed0/config.yaml").write_text("method: [")
    (tmp_path / "runs/scratch-100pct-seed0/split.json").write_text("{}")
    runs = plan(study(lesions), tmp_path)
    locations = run_locations(runs, tmp_path, run_identities(runs))
    conflicts = {location.planned.name: location.conflict for location in locations}
    assert "contains files but no run" in conflicts[name]
    assert "not valid YAML" in conflicts["runs/scratch-100pct-seed0"]
    assert arrange_runs(locations) == []
    assert (tmp_path / name / "notes.txt").read_text() == "mine"


def test_a_second_run_with_the_same_id_is_set_aside_beside_the_first(tmp_path: Path, lesions: Path) -> None:
    first, changed = study(lesions), set_in(study(lesions), "settings.epochs", 5)
    pretend(first, tmp_path)
    pretend(changed, tmp_path)
    aside = next((tmp_path / SUPERSEDED / "runs").glob("scratch-50pct-seed0-*"))
    home = tmp_path / "runs/scratch-50pct-seed0"
    location = RunLocation(plan(first, tmp_path)[0], home, home, set_aside=aside)
    arrange_runs([location])
    assert aside.with_name(f"{aside.name}-2").is_dir()
    assert aside.is_dir()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 1, "s4mi": "0.0.9"}', "format 1, written by s4mi 0.0.9, is not supported by s4mi"),
        ('{"format": 99}', "format 99, written by s4mi of another version, is not supported"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
    ],
)
def test_a_folder_of_another_format_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    check_study_format(tmp_path / "nowhere")
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(S4miError, match=message) as error:
        check_study_format(tmp_path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'study.json'}: ")


def test_the_study_file_lists_the_plan_and_is_not_rewritten(tmp_path: Path, lesions: Path) -> None:
    runs = plan(study(lesions), tmp_path)
    write_study_file(tmp_path, runs, run_identities(runs))
    written = yaml.safe_load((tmp_path / "study.json").read_text())
    assert list(written["runs"]) == [planned.name for planned in runs]
    check_study_format(tmp_path)
    before = (tmp_path / "study.json").stat().st_mtime_ns
    write_study_file(tmp_path, runs, run_identities(runs))
    assert (tmp_path / "study.json").stat().st_mtime_ns == before
