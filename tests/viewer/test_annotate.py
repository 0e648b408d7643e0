"""Annotating: what is saved is what was sent, whoever asks, and after a restart too."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from s4mi.data.masks import read_mask


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
