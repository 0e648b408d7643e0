"""Files of an erased patient are gone wherever the data set folder really lies, and never only said to be."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from s4mi.data import erase as erase_steps
from s4mi.data.erase import PLAN_NAME, ErasurePlan, erase_from_cache, plan_erasure
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.manifest import load_manifest, write_dataset
from s4mi.data.patient_files import placed, remove_files
from s4mi.data.sources.synthetic import write_synthetic
from s4mi.errors import S4miError
from s4mi.recipes.erase import erase_patient

PATIENT = "patient_0003"
LAYOUTS = [("real/deep/more", "link"), ("real", "a/b/c/link"), ("real/deep", "link"), ("one/real", "one/link")]
"""Folders that hold the data set, and links to them."""


def made(place: Path, real: str, link: str) -> tuple[Path, Path, list[Path]]:
    """Return a data set folder, another path to it through a link, and the files of the patient."""
    folder = place / real / "x"
    folder.parent.mkdir(parents=True)
    write_synthetic("lesions", folder, count=9, size=32, seed=3)
    (place / link).parent.mkdir(parents=True, exist_ok=True)
    (place / link).symlink_to(folder.parent)
    rows = [row for row in load_manifest(folder).rows if row.group == PATIENT]
    files = [path for row in rows for path in (row.image, row.mask) if path is not None]
    assert len(files) >= 2
    assert all(path.is_file() for path in files)
    return folder, place / link / "x", files


@pytest.mark.parametrize(("real", "link"), LAYOUTS)
def test_files_are_gone_through_a_link_at_another_depth(tmp_path: Path, real: str, link: str) -> None:
    folder, other, files = made(tmp_path, real, link)
    kept = {path for path in folder.rglob("*.png") if path not in files}
    found = erase_patient(other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert found.done
    assert len(found.plan.files) == len(files)
    assert not [path for path in files if os.path.lexists(path)]
    assert set(folder.rglob("*.png")) == kept


@pytest.mark.parametrize("resumed", ["link", "real"])
@pytest.mark.parametrize(("real", "link"), LAYOUTS[:2])
def test_an_erasure_that_was_killed_goes_on_through_either_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: str, link: str, resumed: str
) -> None:
    folder, other, files = made(tmp_path, real, link)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(erase_steps, "remove_files", killed)  # the rows are gone then
        with pytest.raises(KeyboardInterrupt):
            erase_patient(other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert all(path.is_file() for path in files)
    erase_patient(folder if resumed == "real" else other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert not [path for path in files if os.path.lexists(path)]
    assert not (folder / PLAN_NAME).exists()


@pytest.mark.parametrize("resumed", ["link", "real"])
@pytest.mark.parametrize(("real", "link"), LAYOUTS[:2])
def test_the_plan_of_an_older_version_finds_the_files_as_well(
    tmp_path: Path, real: str, link: str, resumed: str
) -> None:
    folder, other, files = made(tmp_path, real, link)
    plan = plan_erasure(other, PATIENT, tmp_path / "cache")
    older = plan.model_dump(mode="json", exclude={"names"})
    older["files"] = [os.path.relpath(path, other) for path in files]
    assert all(name.startswith("..") for name in older["files"])
    (folder / PLAN_NAME).write_text(json.dumps(older))
    erase_patient(folder if resumed == "real" else other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert not [path for path in files if os.path.lexists(path)]


def test_a_file_that_is_still_there_is_not_said_to_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other, files = made(tmp_path, "real", "link")
    unlink = Path.unlink
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda path, **how: None if path.suffix == ".png" else unlink(path, **how))
        with pytest.raises(S4miError, match=r"\.png: is still there after it was removed"):
            erase_patient(other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert (folder / PLAN_NAME).exists()
    erase_patient(other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert not [path for path in files if os.path.lexists(path)]


@pytest.mark.parametrize("name", ["../elsewhere/a.png", "/elsewhere/a.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused_before_anything_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "mine.png").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.png").touch()
    with pytest.raises(S4miError, match=r"which leads out of the data set folder"):
        remove_files(tmp_path / "x", ["mine.png", name])
    assert (tmp_path / "x" / "mine.png").exists()
    assert (tmp_path / "elsewhere" / "a.png").exists()


def test_what_links_of_the_patient_alone_lead_to_is_removed_with_them(tmp_path: Path) -> None:
    folder, other, _ = made(tmp_path, "real", "link")
    manifest = load_manifest(folder)
    own = next(row for row in manifest.rows if row.group == PATIENT)
    stranger = next(row for row in manifest.rows if row.group != PATIENT)
    store = folder / ".store"
    store.mkdir()
    own.image.rename(store / "1")
    own.image.symlink_to("../.store/1")
    assert own.mask is not None
    assert stranger.mask is not None
    own.mask.rename(store / "2")  # both have the same mask
    own.mask.symlink_to(store / "2")
    stranger.mask.unlink()
    stranger.mask.symlink_to(store / "2")
    found = erase_patient(other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert found.plan.outside == ()
    assert not [path for path in (own.image, own.mask, store / "1") if os.path.lexists(path)]
    assert stranger.mask.is_file()
    assert load_manifest(folder).rows


def test_a_link_to_an_original_elsewhere_is_removed_and_the_original_named(tmp_path: Path) -> None:
    folder, other, _ = made(tmp_path, "real", "link")
    own = next(row for row in load_manifest(folder).rows if row.group == PATIENT)
    original = own.image.rename(tmp_path / "original.png")
    own.image.symlink_to(original)
    found = erase_patient(other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert found.plan.outside == (str(original),)
    assert original.is_file()
    assert not os.path.lexists(own.image)


def test_images_beside_the_folder_stay_and_are_named_by_where_they_lie(tmp_path: Path) -> None:
    folder, other, _ = made(tmp_path, "real", "link")
    manifest = load_manifest(folder)
    (tmp_path / "originals").mkdir()
    rows = [replace(row, image=row.image.rename(tmp_path / "originals" / row.image.name)) for row in manifest.rows]
    write_dataset(folder, manifest.spec, rows)
    own = [row.image for row in rows if row.group == PATIENT]
    found = erase_patient(other, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert found.plan.outside == tuple(map(str, own))
    assert all(path.is_file() for path in own)


def test_caches_forget_the_names_of_files_that_have_changed_since(tmp_path: Path) -> None:
    folder, other, files = made(tmp_path, "real/deep/more", "link")
    (tmp_path / "cache").mkdir()
    hashes = FileHashes(tmp_path / "cache" / DATABASE_NAME)
    known = [row.image for row in load_manifest(other).rows]
    hashes.digests(known)
    files[0].write_bytes(files[0].read_bytes() + b" ")
    plan: ErasurePlan = plan_erasure(other, PATIENT, tmp_path / "none")
    erase_from_cache(other, tmp_path / "cache", plan)
    assert str(files[0]).encode() not in (tmp_path / "cache" / DATABASE_NAME).read_bytes()
    assert (
        str(next(path for path in known if path not in files)).encode()
        in (tmp_path / "cache" / DATABASE_NAME).read_bytes()
    )
    assert placed(other, plan.files) == [folder / name for name in plan.files]


@pytest.mark.parametrize("version", ["manifest.csv", "manifest-v1.csv"])
def test_a_row_of_the_patient_with_an_error_ends_the_erasure_before_it_begins(tmp_path: Path, version: str) -> None:
    folder = tmp_path / "x"
    write_synthetic("lesions", folder, count=9, size=32, seed=3)
    if version != "manifest.csv":
        (folder / version).write_bytes((folder / "manifest.csv").read_bytes())
        (folder / "dataset-v1.yaml").write_bytes((folder / "dataset.yaml").read_bytes())
        spec = (folder / "dataset.yaml").read_text()
        (folder / "dataset.yaml").write_text(
            spec.replace("version: 1", "version: 2") if "version:" in spec else f"{spec}version: 2\n"
        )
    lines = (folder / version).read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if PATIENT in line)
    cells = lines[number].split(",")
    cells[2] = "masks/gone.png"
    lines[number] = ",".join(cells)
    (folder / version).write_text("\n".join(lines) + "\n")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(S4miError, match=f"{version}:{number + 1}: a row of the patient .*gone.png"):
        erase_patient(folder, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_rows_that_a_quotation_mark_joins_are_not_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    write_synthetic("lesions", folder, count=9, size=32, seed=3)
    lines = (folder / "manifest.csv").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if PATIENT in line)
    lines[first - 1] = lines[first - 1].replace(",", ',"', 1)
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    before = (folder / "manifest.csv").read_text()
    with pytest.raises(S4miError, match=rf"manifest.csv:{first}: unclosed quotation mark"):
        erase_patient(folder, PATIENT, cache=tmp_path / "cache", confirmed=True)
    assert (folder / "manifest.csv").read_text() == before


def test_errors_in_rows_of_others_do_not_hinder_it(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    write_synthetic("lesions", folder, count=9, size=32, seed=3)
    other = next(row for row in load_manifest(folder).rows if row.group != PATIENT)
    assert other.mask is not None
    other.mask.unlink()
    assert erase_patient(folder, PATIENT, cache=tmp_path / "cache", confirmed=True).done
    assert PATIENT not in (folder / "manifest.csv").read_text()
    assert other.id in (folder / "manifest.csv").read_text()


def test_rows_are_gone_from_the_table_that_a_link_leads_to(tmp_path: Path) -> None:
    folder, table = tmp_path / "x", tmp_path / "tables" / "mine.csv"
    write_synthetic("lesions", folder, count=9, size=32, seed=3)
    table.parent.mkdir()
    (folder / "manifest.csv").rename(table)
    (folder / "manifest.csv").symlink_to(table)
    assert PATIENT in table.read_text()
    assert erase_patient(folder, PATIENT, cache=tmp_path / "cache", confirmed=True).done
    assert PATIENT not in table.read_text()
    assert (folder / "manifest.csv").is_symlink()
