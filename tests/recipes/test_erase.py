"""A patient is gone from the data set, its versions, caches and runs; the rest stays as it is."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from conftest import TRANSFER, Command
from s4mi.config import RunConfig
from s4mi.data.annotations.journal import FOLDER, LOCK, MERGE, NAME, Journal, read_journal
from s4mi.data.loading.file_hashes import FileHashes
from s4mi.data.loading.thumbnail_store import dataset_thumbnails
from s4mi.data.manifest import load_manifest
from s4mi.data.spec import load_spec
from s4mi.errors import S4miError
from s4mi.recipes import erase
from s4mi.recipes.erase import erase_patient
from s4mi.recipes.train import train
from s4mi.records import atomic, read_record
from s4mi.records.lock import file_lock
from s4mi.training.evaluate import evaluate_run
from s4mi.training.run_dir import RunDir

PATIENT = "patient_0003"


@pytest.fixture
def place(tmp_path: Path, lesions: Path, quick: Callable[..., RunConfig]) -> Path:
    shutil.copytree(lesions, tmp_path / "data")
    config = quick(tmp_path / "data", TRANSFER, epochs=1, data={"cache": tmp_path / "cache"})
    train(config, tmp_path / "runs" / "one")
    (tmp_path / "runs" / "report.html").write_bytes(b"<head>" + erase.MARK)
    _draw_in_view(tmp_path / "data")
    (tmp_path / "cache" / "view").mkdir()
    (tmp_path / "cache" / "view" / "run.sqlite").write_bytes(b"predicted masks")
    dataset_thumbnails(load_manifest(tmp_path / "data"), tmp_path / "cache")
    return tmp_path


def _draw_in_view(data: Path) -> None:
    """Annotate an image of the patient and one of another in `s4mi view`, and do not merge the second."""
    rows = load_manifest(data).rows
    own = next(row.id for row in rows if row.group == PATIENT)
    other = min(row.id for row in rows if row.group != PATIENT)
    journal = Journal(data / FOLDER)
    journal.append({"op": "begin", "number": 0, "version": 1, "merged": [own, other]})
    for number, name in enumerate((own, other), start=1):
        journal.append({"op": "change", "number": number, "id": name, "after": {"labels": ["nevus"]}})
    journal.close()
    (data / FOLDER / "torn-1.bin").write_bytes(own.encode())
    (data / FOLDER / MERGE).mkdir()
    (data / FOLDER / MERGE / "labels.csv").write_text(f"id,label\n{own},nevus\n")


@pytest.mark.long
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
    for path in [
        *run.rglob("*.json"),
        *run.rglob("*.csv"),
        *(place / "data").rglob("*.csv"),
        *(place / "data").glob("*"),
    ]:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not [name for name in ids if f'"{name}"' in text or f"\n{name}," in text], path
            assert PATIENT not in text, path
    journal = read_journal(place / "data" / FOLDER / NAME).entries
    assert [entry.get("id") for entry in journal] == [None, sorted(kept)[0]]
    assert journal[0]["merged"] == [sorted(kept)[0]]
    assert not list((place / "runs").glob("*.html"))
    assert not list((place / "cache").glob("*/index.npz"))
    assert not (place / "cache" / "view").exists()
    database = (place / "cache" / "fingerprints.sqlite").read_bytes()
    assert not [name for name in (*ids, *digests) if f"{name}".encode() in database]
    thumbnails = (place / "cache" / "thumbnails.sqlite").read_bytes()
    kept_digest = FileHashes.hashed([load_manifest(place / "data").rows[0].image])
    assert bytes.fromhex(next(iter(kept_digest.values()))) in thumbnails
    assert not [digest for digest in digests if bytes.fromhex(digest) in thumbnails]
    compared = list((place / "cache" / "copies").glob("*.npz"))
    assert compared
    for path in compared:
        with np.load(path) as found:
            left = {digest.tobytes().hex() for digest in found["digests"]}
        assert left
        assert not left & digests
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


@pytest.mark.long
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
    ((run, parts),) = result.plan.runs
    assert run == place / "runs" / "one"
    assert parts


@pytest.mark.long
def test_a_run_that_was_only_scored_on_the_patient_is_scored_on_the_others(place: Path, s4mi: Command) -> None:
    run = place / "runs" / "one"
    split = json.loads((run / "split.json").read_text())
    group = {row.id: row.group or "" for row in load_manifest(place / "data").rows}
    tested = [group[name] for name in split["test"]]
    patient = tested[0]
    kept = {part: [name for name in split[part] if group[name] != patient] for part in ("train", "val", "test")}
    erase_patient(place / "data", patient, cache=place / "cache", confirmed=True)  # the run itself is not searched
    done = s4mi("evaluate", run)
    assert done.returncode == 0, done.stderr
    gone = tested.count(patient)
    said = " ".join(done.stdout.split())
    assert f"{gone} image{'s were' if gone > 1 else ' was'} erased since training" in said.replace(
        " of the test part", ""
    )
    assert f"of the other {len(kept['test'])}, and the record of the run keeps those of all {len(tested)}" in said
    assert evaluate_run(run, "val") == read_record(run).val
    erase_patient(place / "data", group[kept["test"][0]], runs=[run], cache=place / "cache", confirmed=True)
    assert evaluate_run(run, "test").images == len(kept["test"]) - tested.count(group[kept["test"][0]])
    (run / "record.json").unlink()
    with pytest.raises(S4miError, match=r"it may have been trained on erased images; train again"):
        train(RunDir(run).config(), run, resume=True)


@pytest.mark.long
def test_a_run_whose_lists_lost_the_patient_says_so_when_it_is_resumed(place: Path) -> None:
    run = place / "runs" / "one"
    (run / "record.json").unlink()
    erase_patient(place / "data", PATIENT, runs=[run], cache=place / "cache", confirmed=True)
    with pytest.raises(S4miError, match=r"since the run began: images were erased; it may have been trained"):
        train(RunDir(run).config(), run, resume=True)


@pytest.mark.long
def test_images_that_were_removed_by_hand_are_no_erasure(place: Path) -> None:
    manifest = place / "data" / "manifest.csv"
    manifest.write_text("\n".join(line for line in manifest.read_text().splitlines() if PATIENT not in line) + "\n")
    with pytest.raises(S4miError, match="train again, or restore the manifest"):
        evaluate_run(place / "runs" / "one", "test")


def test_annotations_that_another_process_has_open_are_refused(place: Path) -> None:
    with (
        file_lock(place / "data" / FOLDER / LOCK),
        pytest.raises(S4miError, match="s4mi view has the data set open"),
    ):
        erase_patient(place / "data", PATIENT, cache=place / "cache", confirmed=True)


@pytest.mark.long
def test_runs_that_start_from_pre_training_on_the_patient_are_named(place: Path) -> None:
    plan = erase_patient(place / "data", PATIENT, cache=place / "cache").plan
    for name, settings, seen in (
        ("pretrained", "method: {name: dino}", plan.digests),
        ("other", "method: {name: dino}", ["0" * 32]),
        ("tuned", f"method: {{pretrained: {place}/runs/pretrained}}", ()),
        ("clean", f"method: {{pretrained: {place}/runs/other}}", ()),
    ):
        folder = place / "runs" / name
        folder.mkdir()
        (folder / "config.yaml").write_text(settings)
        (folder / "split.json").write_text('{"train": ["x"], "val": [], "test": []}')
        (folder / "data.json").write_text('{"rows": {"x": ["0000000000000000", null, null]}}')
        if seen:
            (folder / "seen.txt").write_text("".join(f"{digest}\n" for digest in seen))
    runs = dict(erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache").plan.runs)
    assert runs[place / "runs" / "tuned"] == ("pre-training",)
    assert {run.name for run in runs} == {"one", "tuned"}


def test_lists_of_an_external_test_set_lose_the_patient(place: Path) -> None:
    rows = load_manifest(place / "data").rows
    run = place / "runs" / "one"
    record = json.loads((run / "record.json").read_text())
    record["external"] = {"here": {"dataset": load_spec(place / "data").name}, "there": {"dataset": "another"}}
    (run / "record.json").write_text(json.dumps(record))
    (run / "external").mkdir()
    for name in record["external"]:
        (run / "external" / f"{name}_predictions.csv").write_text("id\n" + "".join(f"{row.id}\n" for row in rows))
    erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache", confirmed=True)
    left = {n: (run / "external" / f"{n}_predictions.csv").read_text().splitlines()[1:] for n in record["external"]}
    assert left["here"] == [row.id for row in rows if row.group != PATIENT]
    assert left["there"] == [row.id for row in rows]


def test_an_unknown_patient_is_one_line(place: Path) -> None:
    with pytest.raises(S4miError, match=r"no image has the patient 'patient_003'.*did you mean"):
        erase_patient(place / "data", "patient_003", cache=place / "cache")


def _ids_of(place: Path) -> tuple[list[str], list[str]]:
    rows = load_manifest(place / "data").rows
    return [row.id for row in rows if row.group == PATIENT], [row.id for row in rows if row.group != PATIENT]


def _simulate_by_hand(place: Path) -> Path:
    """A round of a simulation: its split and choice lie above the run."""
    own, others = _ids_of(place)
    turn = place / "runs" / "simulated" / "entropy" / "round1"
    shutil.copytree(place / "runs" / "one", turn / "run-seed0")
    shutil.copyfile(place / "runs" / "one" / "split.json", turn / "split.json")
    (turn / "chosen.json").write_text(json.dumps([others[0], own[0], others[1]]))
    points = [{"id": name, "part": "train", "labels": None, "x": 0.0, "y": 1.0} for name in (own[0], others[0])]
    (turn / "run-seed0" / "feature_map.json").write_text(json.dumps({"encoder": "e", "points": points}))
    return turn


def _suggest_by_hand(place: Path) -> Path:
    own, others = _ids_of(place)
    lines = [
        "rank,id,image,patient,near,why", f"1,{own[0]},x.png,{PATIENT},,far", f"2,{others[0]},i.png,p,{own[0]},n",
        f"3,{others[1]},i.png,p,,kept", f"4,{own[0]},i.png,somebody of another data set,,kept",
    ]  # fmt: skip
    (place / "runs" / "next.csv").write_text("\n".join(lines) + "\n")
    (place / "runs" / "next.coco.json").write_text("{}")
    (place / "runs" / "other.csv").write_text(f"id,score\n{own[0]},1\n")
    return place / "runs" / "next.csv"


def _everywhere(place: Path) -> tuple[Path, Path]:
    return _simulate_by_hand(place), _suggest_by_hand(place)


def _assert_gone_everywhere(place: Path, turn: Path, table: Path, own: list[str], others: list[str]) -> None:
    assert json.loads((turn / "chosen.json").read_text()) == others[:2]
    split = json.loads((turn / "split.json").read_text())
    assert {name for part in ("train", "val", "test") for name in split[part]} == {*others}
    points = json.loads((turn / "run-seed0" / "feature_map.json").read_text())["points"]
    assert [point["id"] for point in points] == others[:1]
    assert [line.split(",")[0] for line in table.read_text().splitlines()] == ["rank", "2", "3", "4"]
    assert table.read_text().splitlines()[1] == f"2,{others[0]},i.png,p,,"
    assert not (place / "runs" / "next.coco.json").exists()
    assert (place / "runs" / "other.csv").read_text() == f"id,score\n{own[0]},1\n"


def test_simulations_feature_maps_and_suggestions_below_the_runs_lose_the_patient(place: Path) -> None:
    own, others = _ids_of(place)
    turn, table = _everywhere(place)
    found = erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache")
    assert found.lists == (table,)
    assert place / "runs" / "next.coco.json" in found.pictures
    erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache", confirmed=True)
    _assert_gone_everywhere(place, turn, table, own, others)


@pytest.mark.long
@pytest.mark.parametrize("when", range(0, 24, 3))
def test_an_erasure_killed_at_any_write_goes_on(place: Path, monkeypatch: pytest.MonkeyPatch, when: int) -> None:
    own, others = _ids_of(place)
    turn, table = _everywhere(place)
    writes = 0
    original = atomic.replacing

    @contextmanager
    def until(path: Path, **options: bool) -> Iterator[Path]:
        nonlocal writes
        writes += 1
        if writes > when:
            raise KeyboardInterrupt
        with original(path, **options) as draft:
            yield draft

    options = {"runs": [place / "runs"], "cache": place / "cache", "confirmed": True}
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "replacing", until)
        with suppress(KeyboardInterrupt):
            erase_patient(place / "data", PATIENT, **options)  # type: ignore[arg-type]
    if (place / "data" / ".erase.json").exists() or any(
        row.group == PATIENT for row in load_manifest(place / "data").rows
    ):
        result = erase_patient(place / "data", PATIENT, **options)  # type: ignore[arg-type]
        assert {run for run, _ in result.plan.runs} == {place / "runs" / "one", turn / "run-seed0"}
    else:
        assert writes <= when
    _assert_gone_everywhere(place, turn, table, own, others)
    assert not [path for path in (place / "runs" / "one").glob("*.csv") for name in own if name in path.read_text()]


@pytest.mark.long
def test_the_caches_that_runs_were_given_lose_the_patient_too(place: Path) -> None:
    other = place / "elsewhere"
    dataset_thumbnails(load_manifest(place / "data"), other)
    (other / "features").mkdir()
    shutil.copytree(place / "runs" / "one", place / "runs" / "two")
    config = place / "runs" / "two" / "config.yaml"
    config.write_text(config.read_text().replace(str(place / "cache"), str(other)))
    result = erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache", confirmed=True)
    thumbnails = (other / "thumbnails.sqlite").read_bytes()
    assert thumbnails
    assert not [digest for digest in result.plan.digests if bytes.fromhex(digest) in thumbnails]
    assert not (other / "features").exists()


def test_a_run_scored_on_the_patient_as_external_test_is_named(place: Path) -> None:
    own, _ = _ids_of(place)
    run = place / "runs" / "elsewhere"
    (run / "external").mkdir(parents=True)
    (run / "config.yaml").write_text("method: {name: finetune}")
    (run / "data.json").write_text('{"rows": {"x": ["0000000000000000", null, null]}}')
    (run / "split.json").write_text('{"train": ["x"], "val": [], "test": []}')
    title = load_spec(place / "data").name
    (run / "record.json").write_text(json.dumps({"external": {"here": {"dataset": f"{title}, version 2"}}}))
    (run / "external" / "here_predictions.csv").write_text(f"id\n{own[0]}\n")
    runs = dict(erase_patient(place / "data", PATIENT, runs=[place / "runs"], cache=place / "cache").plan.runs)
    assert runs[run] == ("external test",)
    assert {*runs[run]} <= erase.SCORED_ONLY
