"""An erasure counts each run once, however the folders overlap, and a killed one goes on with those it began with."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import Command
from s4mi.data.loading.file_hashes import FileHashes
from s4mi.data.manifest import load_manifest
from s4mi.recipes import erase
from s4mi.recipes.erase import MARK, erase_patient
from s4mi.training.searched_folders import outermost

PATIENT = "patient_0003"
RUNS = ("out/scratch/seed0", "out/scratch/seed1", "out/tuned/seed0")


@pytest.fixture
def place(tmp_path: Path, lesions: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finished runs of a study that have read all images, a report above them, and a link to their folder."""
    shutil.copytree(lesions, tmp_path / "data")
    rows = load_manifest(tmp_path / "data").rows
    digests = FileHashes.hashed([row.image for row in rows])
    for name in RUNS:
        run = tmp_path / name
        run.mkdir(parents=True)
        (run / "config.yaml").write_text(f"data: {{path: {tmp_path / 'data'}}}")
        (run / "split.json").write_text(json.dumps({"train": [row.id for row in rows], "val": [], "test": []}))
        hashes = {row.id: [digests[row.image][:16], None, None] for row in rows}
        (run / "data.json").write_text(json.dumps({"hash": "", "spec": {}, "rows": hashes}))
        (run / "record.json").write_text("{}")
        (run / "study_run.json").write_text("{}")
    (tmp_path / "out" / "report.html").write_bytes(b"<head>" + MARK)
    (tmp_path / "link").symlink_to("out")
    monkeypatch.chdir(tmp_path)
    return tmp_path


OVERLAPPING = [
    ("out", "out/scratch"), ("out/scratch", "out"), ("out", "out"), ("out", "out/../out/tuned"), ("out", "link"),
    ("out/scratch", "link"), ("out", "link/scratch/seed0"), ("link", "out", "out/scratch"),
]  # fmt: skip


@pytest.mark.parametrize("roots", OVERLAPPING, ids=",".join)
@pytest.mark.parametrize("absolute", [False, True], ids=["relative", "one absolute"])
def test_each_run_is_counted_once(place: Path, roots: tuple[str, ...], absolute: bool) -> None:
    folders = [Path(root) for root in roots]
    if absolute:
        folders[0] = place / folders[0]
    found = erase_patient(place / "data", PATIENT, runs=folders, cache=place / "cache")
    real = sorted(place / name for name in RUNS)
    assert sorted(run.resolve() for run in found.outdated) == real
    assert sorted(run.resolve() for run, _ in found.plan.runs) == real
    assert [path.resolve() for path in found.pictures] == [place / "out" / "report.html"]


def test_the_command_counts_each_run_once(place: Path, s4mi: Command) -> None:
    done = s4mi("data", "erase", "data", PATIENT, "--runs", "out", "--runs", "out/scratch", "--cache", place / "cache")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert "3 finished runs of studies will no longer fit" in shown
    assert "lists of runs 3 runs" in shown
    assert shown.count("out/scratch/seed0: has seen the patient") == 1


@pytest.mark.parametrize("again", [(), ("out",), ("link",), ("link/tuned",)], ids=str)
def test_an_erasure_that_was_killed_goes_on_with_the_folders_it_began_with(
    place: Path, monkeypatch: pytest.MonkeyPatch, again: tuple[str, ...]
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erase, "_erase_from_run", killed)
        with pytest.raises(KeyboardInterrupt):
            erase_patient(Path("data"), PATIENT, runs=[Path("out")], cache=place / "cache", confirmed=True)
    monkeypatch.chdir(place / "data")
    roots = [Path("..", root) for root in again]
    found = erase_patient(place / "data", PATIENT, runs=roots, cache=place / "cache", confirmed=True)
    assert sorted(run.resolve() for run, _ in found.plan.runs) == sorted(place / name for name in RUNS)
    kept = {row.id for row in load_manifest(place / "data").rows}
    for name in RUNS:
        assert {*json.loads((place / name / "split.json").read_text())["train"]} == kept
        assert json.loads((place / name / "data.json").read_text())["rows"].keys() == kept
    assert not (place / "out" / "report.html").exists()


def test_folders_beside_each_other_stay_with_the_names_they_were_given(place: Path) -> None:
    beside = [Path("out/scratch"), place / "out" / "tuned", Path("data")]
    (place / "out" / "scratch2").mkdir()
    assert outermost([*beside, Path("out/scratch2")]) == [*beside, Path("out/scratch2")]
    assert outermost([Path("link"), Path("out"), place / "out" / "tuned"]) == [Path("link")]
    assert outermost([]) == []
