"""Annotating: what is saved is what was sent, whoever asks, and after a restart too."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from s4mi.data.masks import read_mask
from s4mi.data.versions import load_version
from s4mi.viewer.writing import Writing


def test_a_stroke_changes_exactly_the_pixels_sent(tab, lesion_copy: Path) -> None:
    truth = read_mask(tab.space.row(3).mask, tab.space.manifest.spec.mask_values)
    patch = np.array([[1, 0, 1], [0, 1, 0]], dtype=np.uint8)
    tab.change("POST", 3, "strokes", patch, x=5, y=7)
    expected = truth.copy()
    expected[7:9, 5:8] = patch
    assert np.array_equal(tab.mask(3, "edited"), expected)
    assert np.array_equal(tab.mask(3, "truth"), truth)


def test_undo_and_redo_last_over_a_restart(tab, lesion_copy: Path, open_tab: Callable) -> None:
    ones = np.ones((4, 4), dtype=np.uint8)
    tab.change("POST", 0, "start", {"from": "nothing"})
    tab.change("POST", 0, "strokes", ones, x=0, y=0)
    tab.change("POST", 0, "strokes", ones, x=10, y=10)
    both = tab.mask(0, "edited")
    tab.change("POST", 0, "undo")
    tab.space.close()
    again = open_tab(lesion_copy)
    assert again.mask(0, "edited").sum() == 16
    assert again.get("images/0")["annotation"]["can_redo"]
    again.change("POST", 0, "redo")
    assert np.array_equal(again.mask(0, "edited"), both)


def test_the_second_of_two_tabs_is_told(tab) -> None:
    tab.change("PUT", 5, "labels", {"labels": ["nevus"]}, by="c-first")
    answer = tab.write("PUT", "images/5/labels", {"labels": ["melanoma"]}, by="c-second", base_revision=0)
    assert answer.status_code == 409
    assert answer.json()["by"] == "c-first"
    assert answer.json()["annotation"]["labels"] == ["nevus"]
    assert tab.get("images/5")["annotation"]["labels"] == ["nevus"]


def test_who_has_an_image_open_is_told_to_the_next(tab) -> None:
    assert tab.write("POST", "images/4/open", by="c-first").json() == {"others": []}
    assert tab.write("POST", "images/4/open", by="c-second").json() == {"others": ["c-first"]}
    assert tab.write("POST", "images/5/open", by="c-second").json() == {"others": []}


def test_a_tab_need_not_wait_for_its_own_strokes(tab) -> None:
    ones = np.ones((2, 2), dtype=np.uint8)
    for x in (0, 10, 20):
        answer = tab.write("POST", "images/3/strokes", ones, base_revision=0, x=x, y=0)
        assert answer.status_code == 200
    assert tab.write("POST", "images/3/strokes", ones, by="c-2", base_revision=0, x=0, y=0).status_code == 409


def test_everything_that_is_not_merged_is_listed(tab) -> None:
    tab.change("PUT", 2, "labels", {"labels": ["nevus"]})
    tab.change("PUT", 5, "empty")
    tab.change("PUT", 7, "skip", {"reason": "blurred"})
    tab.change("POST", 9, "start", {"from": "truth"})  # what the data set has already
    listed = tab.get("changes")
    assert listed["counts"] == {"labels": 1, "masks": 0, "empty": 1, "skipped": 1}
    assert [(one["n"], one["what"]) for one in listed["images"]] == [(2, "labels"), (5, "empty"), (7, "skip")]
    assert [item["n"] for item in tab.get("grid", changed="yes")["items"]] == [2, 5, 7]
    assert [item["n"] for item in tab.get("grid", skipped="yes")["items"]] == [7]
    tab.change("DELETE", 2, "annotation")
    assert tab.get("changes")["counts"]["labels"] == 0
    tab.change("POST", 2, "undo")
    assert tab.get("images/2")["annotation"]["labels"] == ["nevus"]


def test_a_stroke_that_fills_an_empty_mask_is_no_empty_answer_any_more(tab) -> None:
    assert tab.change("PUT", 5, "empty")["empty"]
    assert tab.change("POST", 5, "strokes", np.zeros((3, 3), dtype=np.uint8), x=0, y=0)["empty"]
    assert not tab.change("POST", 5, "strokes", np.ones((3, 3), dtype=np.uint8), x=0, y=0)["empty"]


def test_a_multi_label_image_has_any_number_of_classes(cells: Path, open_tab: Callable, tmp_path: Path) -> None:
    tab = open_tab(Path(shutil.copytree(cells, tmp_path / "cells")))
    classes = tab.get("session")["dataset"]["classes"]
    assert tab.change("PUT", 0, "labels", {"labels": [classes[2], classes[0]]})["labels"] == [classes[0], classes[2]]
    assert tab.change("PUT", 1, "labels", {"labels": []})["labels"] == []
    answer = tab.write("POST", "merge", {"dry_run": False, "replace": True})
    assert answer.status_code == 200, answer.text
    rows = load_version(tmp_path / "cells").rows
    assert (rows[0].labels, rows[1].labels) == ((classes[0], classes[2]), ())


@pytest.mark.parametrize("body", [b'{"reason": "\\ud800"}', b'{"reason": ' + b"9" * 5000 + b"}", b"[" * 100_000])
def test_bodies_that_no_browser_sends_are_refused(tab, body: bytes) -> None:
    headers = {"X-S4MI": "1", "X-Client": "c-1", "Content-Type": "application/json"}
    answer = tab.client.put("/api/images/0/skip?base_revision=0", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "body: not valid JSON; send an object such as {}")


def test_half_of_a_surrogate_pair_in_a_journal_is_answered(tab) -> None:
    tab.space.annotations.skip(0, "\ud800", Writing("c-1", 0))
    assert tab.get("images/0")["annotation"]["skip"] == "\ud800"
