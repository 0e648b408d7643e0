"""Merging from the page: the next version has exactly what was annotated, by the rules of `s4mi data merge`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from s4mi.data.annotations.journal import FOLDER, NAME, read_journal
from s4mi.data.manifest import write_dataset
from s4mi.data.masks import read_mask
from s4mi.data.versions import load_version, write_version


def merge(tab, **options: bool) -> dict:
    answer = tab.write("POST", "merge", {"dry_run": False, **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_next_version_has_the_painted_pixels_and_the_chosen_class(tab, lesion_copy: Path) -> None:
    patch = np.ones((6, 9), dtype=np.uint8)
    tab.change("POST", 4, "start", {"from": "nothing"})
    tab.change("POST", 4, "strokes", patch, x=20, y=11)
    tab.change("PUT", 6, "labels", {"labels": ["melanoma"]})
    painted = tab.mask(4, "edited")
    before = load_version(lesion_copy)
    result = merge(tab, replace=True)
    after = load_version(lesion_copy)
    assert result["version"] == after.version == 2
    assert np.array_equal(read_mask(after.rows[4].mask, after.spec.mask_values), painted)
    assert after.rows[6].labels == ("melanoma",)
    unchanged = [n for n in range(len(before.rows)) if n not in (4, 6)]
    assert all(before.rows[n].mask == after.rows[n].mask for n in unchanged)
    assert all(before.rows[n].labels == after.rows[n].labels for n in range(len(before.rows)) if n != 6)


def test_after_a_merge_the_page_shows_the_new_version_and_the_journal_begins_anew(tab, lesion_copy: Path) -> None:
    tab.change("PUT", 6, "labels", {"labels": ["melanoma"]})
    assert merge(tab, replace=True)["next"] == "s4mi study run STUDY.yaml -o FOLDER"  # a command to copy
    session = tab.get("session")
    assert session["dataset"]["version"] == 2
    assert session["changes"] == {"labels": 0, "masks": 0, "empty": 0, "skipped": 0}
    assert tab.get("images/6")["labels"] == ["melanoma"]
    assert [entry["op"] for entry in read_journal(lesion_copy / FOLDER / NAME).entries] == ["begin"]
    assert (lesion_copy / FOLDER / "merged-v2.jsonl").is_file()


def test_a_change_on_a_revision_before_the_merge_is_told_so(tab) -> None:
    old = tab.change("PUT", 6, "labels", {"labels": ["melanoma"]})["revision"]
    merge(tab, replace=True)
    answer = tab.write("PUT", "images/6/labels", {"labels": ["nevus"]}, base_revision=old)
    assert (answer.status_code, answer.json()["by"]) == (409, "merge")


def test_existing_annotations_are_replaced_only_if_asked(tab, lesion_copy: Path) -> None:
    labels = tab.get("images/6")["labels"]
    other = next(name for name in ("nevus", "melanoma") if name not in labels)
    tab.change("PUT", 6, "labels", {"labels": [other]})
    checked = tab.write("POST", "merge", {"dry_run": True}).json()
    assert len(checked["errors"]) == 1
    refused = tab.write("POST", "merge", {"dry_run": False})
    assert refused.status_code == 422
    assert str(lesion_copy) not in refused.text
    assert load_version(lesion_copy).version == 1


def test_empty_is_a_mask_and_skipped_images_wait_with_their_reason(tab, lesion_copy: Path, open_tab: Callable) -> None:
    tab.change("PUT", 1, "empty")
    tab.change("PUT", 2, "labels", {"labels": ["melanoma"]})
    tab.change("PUT", 2, "skip", {"reason": "blurred"})
    assert merge(tab, replace=True)["skipped"] == 1
    after = load_version(lesion_copy)
    assert not read_mask(after.rows[1].mask, after.spec.mask_values).any()
    assert tab.get("images/2")["annotation"]["skip"] == "blurred"
    tab.space.close()
    again = open_tab(lesion_copy).get("images/2")["annotation"]
    assert (again["skip"], again["labels"]) == ("blurred", ["melanoma"])


def test_a_mask_erased_to_nothing_is_not_merged_as_an_answer(tab, lesion_copy: Path) -> None:
    tab.change("POST", 1, "start", {"from": "nothing"})
    result = merge(tab, replace=True)
    assert result["version"] == 1
    assert "background only" in result["notes"][0]
    assert tab.get("images/1")["annotation"]["mask"] == "edited"


def test_a_merge_killed_before_its_journal_was_archived_is_finished_on_the_next_start(
    tab, lesion_copy: Path, open_tab: Callable
) -> None:
    tab.change("PUT", 6, "labels", {"labels": ["melanoma"]})
    journal = lesion_copy / FOLDER / NAME
    merge(tab, replace=True)
    tab.space.close()
    killed = (lesion_copy / FOLDER / "merged-v2.jsonl").read_bytes()  # as it was when the version was written
    journal.write_bytes(killed)
    again = open_tab(lesion_copy)
    assert again.get("session")["changes"]["labels"] == 0
    assert again.get("session")["dataset"]["version"] == 2


def test_orders_of_a_version_with_other_images_are_not_those_of_the_version_before(tab, lesion_copy: Path) -> None:
    for _ in range(3):
        tab.space.touch()
        tab.get("grid")
    manifest = load_version(lesion_copy)
    write_version(manifest, manifest.spec, manifest.rows[:-1])
    assert tab.write("POST", "merge", {"dry_run": True}).status_code == 200
    for _ in range(3):
        tab.space.touch()
        assert tab.get("grid")["total"] == len(manifest.rows) - 1


def test_a_journal_whose_merge_was_not_written_keeps_everything(tab, lesion_copy: Path, open_tab: Callable) -> None:
    tab.change("PUT", 6, "labels", {"labels": ["melanoma"]})
    tab.space.annotations.note("merging", version=1)
    tab.space.close()
    assert open_tab(lesion_copy).get("session")["changes"]["labels"] == 1


def test_answers_follow_their_images_where_the_manifest_was_changed_elsewhere(tab, lesion_copy: Path) -> None:
    """Without the first image every other has another row number, while the version is the same."""
    tab.change("POST", 4, "start", {"from": "nothing"})
    tab.change("POST", 4, "strokes", np.ones((6, 9), dtype=np.uint8), x=20, y=11)
    painted = tab.mask(4, "edited")
    tab.change("PUT", 6, "labels", {"labels": ["melanoma"]})
    tab.change("PUT", 0, "labels", {"labels": ["melanoma"]})
    before = load_version(lesion_copy)
    of_mask, of_label = before.rows[4].id, before.rows[6].id
    write_dataset(lesion_copy, before.spec, before.rows[1:])
    checked = tab.write("POST", "merge", {"dry_run": True, "replace": True}).json()
    assert (checked["errors"], checked["annotated"] + checked["same"]) == ([], 2)
    assert [one["name"] for one in tab.get("changes")["images"]] == [of_mask, of_label]
    assert merge(tab, replace=True)["version"] == 2
    after = load_version(lesion_copy)
    found = {row.id: row for row in after.rows}
    assert np.array_equal(read_mask(found[of_mask].mask, after.spec.mask_values), painted)
    assert found[of_label].labels == ("melanoma",)
    for row in before.rows[1:]:
        assert row.id == of_label or found[row.id].labels == row.labels
        assert row.id == of_mask or found[row.id].mask == row.mask
    assert [entry["id"] for entry in tab.space.annotations.lost] == [before.rows[0].id]  # kept, should it return


def test_the_parts_of_a_run_follow_their_images(tab, lesion_copy: Path) -> None:
    manifest = load_version(lesion_copy)
    count = len(manifest.rows)
    tab.space.parts = {"train": range(2, count), "val": [0], "test": [1]}
    write_dataset(lesion_copy, manifest.spec, manifest.rows[1:])
    tab.space.reload()
    assert tab.space.parts == {"train": [*range(1, count - 1)], "val": [], "test": [0]}
    assert [tab.space.columns.part(n) for n in (0, 1, count - 2)] == ["test", "train", "train"]


def test_changes_of_images_that_are_gone_survive_a_merge_and_return_with_them(
    tab, lesion_copy: Path, open_tab: Callable
) -> None:
    tab.change("PUT", 6, "labels", {"labels": ["melanoma"]})
    tab.change("POST", 7, "start", {"from": "nothing"})
    tab.change("POST", 7, "strokes", np.ones((6, 9), dtype=np.uint8), x=20, y=11)
    painted = tab.mask(7, "edited")
    tab.space.close()
    manifest = load_version(lesion_copy)
    write_dataset(lesion_copy, manifest.spec, [row for n, row in enumerate(manifest.rows) if n != 7])
    without = open_tab(lesion_copy)
    assert merge(without, replace=True)["version"] == 2
    without.space.close()
    merged = load_version(lesion_copy)
    write_dataset(lesion_copy, merged.spec, [*merged.rows[:7], manifest.rows[7], *merged.rows[7:]])
    again = open_tab(lesion_copy)
    assert np.array_equal(again.mask(7, "edited"), painted)
    again.change("POST", 7, "undo")
    assert not again.mask(7, "edited").any()
    assert [one["n"] for one in again.get("changes")["images"]] == [7]
