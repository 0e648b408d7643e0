"""A patient is gone from the data set, its versions, caches and runs; the rest stays as it is."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import TRANSFER, Command
from s4mi.config import RunConfig
from s4mi.data.loading.thumbnail_store import dataset_thumbnails
from s4mi.data.manifest import load_manifest
from s4mi.errors import S4miError
from s4mi.recipes import erase
from s4mi.recipes.erase import erase_patient
from s4mi.recipes.train import train

PATIENT = "patient_0003"


@pytest.fixture
def place(tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]) -> Path:
    shutil.copytree(lesions, tmp_path / "data")
    config = quick(tmp_path / "data", TRANSFER, epochs=1, data={"cache": tmp_path / "cache"})
    train(config, tmp_path / "runs" / "one")
    dataset_thumbnails(load_manifest(tmp_path / "data"), tmp_path / "cache")
    return tmp_path


def test_a_dry_run_changes_nothing_and_says_what_it_would(place: Path, s4mi: Command) -> None:
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.suffix != ".sqlite"}
    done = s4mi("data", "erase", place / "data", PATIENT, "--runs", place / "runs", "--cache", place / "cache")
    assert done.returncode == 0, done.stderr
    assert "has seen the patient" in done.stdout
    after = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.suffix != ".sqlite"}
    assert after == before


def _assert_gone(place: Path, ids: set[str], digests: set[str], kept: set[str]) -> None:
    rows = load_manifest(place / "data").rows
    assert {row.id for row in rows} == kept
    assert not [path for name in ids for path in (place / "data").rglob(f"{name}.png")]
    run = place / "runs" / "one"
    for path in [*run.rglob("*.json"), *run.rglob("*.csv"), *(place / "data").glob("*")]:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not [name for name in ids if f'"{name}"' in text or f"\n{name}," in text], path
            assert PATIENT not in text, path
    assert not list((place / "cache").glob("*/index.npz"))
    database = (place / "cache" / "fingerprints.sqlite").read_bytes()
    assert not [name for name in (*ids, *digests) if f"{name}".encode() in database]
    thumbnails = (place / "cache" / "thumbnails.sqlite").read_bytes()
    assert thumbnails
    assert not [digest for digest in digests if digest.encode() in thumbnails]
    assert not (place / "data" / ".erase.json").exists()


def test_nothing_of_the_patient_is_left(place: Path) -> None:
    rows = load_manifest(place / "data").rows
    ids = {row.id for row in rows if row.group == PATIENT}
    (index,) = (place / "cache").glob("*/index.npz")
    with np.load(index) as found:
        assert len(found["digests"]) == len(rows)
    result = erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache", confirmed=True)
    assert set(result.plan.ids) == ids
    split = json.loads((place / "runs" / "one" / "split.json").read_text())
    assert sum(len(split[part]) for part in ("train", "val", "test")) == len(rows) - len(ids)
    _assert_gone(place, ids, set(result.plan.digests), {row.id for row in rows} - ids)


@pytest.mark.parametrize("step", ["erase_from_dataset", "erase_from_cache", "_erase_from_run", "end_erasure"])
def test_an_interrupted_erasure_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    rows = load_manifest(place / "data").rows
    ids = {row.id for row in rows if row.group == PATIENT}
    original = getattr(erase, step)

    def killed(*arguments: object) -> None:
        if step != "end_erasure":
            original(*arguments)
        raise KeyboardInterrupt

    options = {"runs": [place / "runs"], "cache": place / "cache", "confirmed": True}
    with monkeypatch.context() as patched:
        patched.setattr(erase, step, killed)
        with pytest.raises(KeyboardInterrupt):
            erase_patient(place / "data", PATIENT, **options)
    with pytest.raises(S4miError, match="another patient was interrupted"):
        erase_patient(place / "data", "patient_0001", **options)
    result = erase_patient(place / "data", PATIENT, **options)
    _assert_gone(place, ids, set(result.plan.digests), {row.id for row in rows} - ids)


def test_an_unknown_patient_is_one_line(place: Path) -> None:
    with pytest.raises(S4miError, match=r"no image has the patient 'patient_003'.*did you mean"):
        erase_patient(place / "data", "patient_003", cache=place / "cache")
