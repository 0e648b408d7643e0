"""A run that may have trained too briefly says so."""

import pytest

from made_records import record
from s4mi.training.length_notes import length_notes


def notes(**about: object) -> list[str]:
    return length_notes(record(task="segmentation").model_copy(update={"best_epoch": 3, "epochs": 4, **about}))


def test_a_long_run_with_an_earlier_best_epoch_says_nothing() -> None:
    assert notes(steps=200) == []


def test_a_record_without_steps_says_nothing() -> None:
    assert notes(ended_improving=True) == []


def test_a_best_epoch_that_is_the_last_is_named_with_a_longer_run() -> None:
    (note,) = notes(steps=400, best_epoch=4, ended_improving=True)
    assert note == (
        "the best epoch was the last, 4 of 4, so validation iou may still have been rising; "
        "train longer, e.g. steps=800"
    )


@pytest.mark.parametrize(("steps", "shown"), [(1, "only 1 optimiser step,"), (199, "only 199 optimiser steps,")])
def test_few_steps_are_named_with_a_longer_run(steps: int, shown: str) -> None:
    (note,) = notes(steps=steps)
    assert note.startswith(shown)
    assert note.endswith("e.g. steps=400")


def test_both_can_be_true() -> None:
    assert len(notes(steps=30, best_epoch=4, ended_improving=True)) == 2
