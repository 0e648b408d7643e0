"""However many runs a study has, the head of its report can be read."""

import pytest

from made_records import record
from s4mi.reporting.results.comparison import comparison_warnings
from s4mi.reporting.results.notes import shortened


@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_few_notes_are_all_there(count: int) -> None:
    notes = [f"note {n}" for n in range(count)]
    assert shortened(notes, like="splits") == notes


def test_of_many_notes_the_rest_is_counted() -> None:
    notes = [f"note {n}" for n in range(160)]
    assert shortened(notes, like="splits") == [*notes[:5], "155 more notes on splits"]


def test_a_study_run_twice_has_six_notes_on_it() -> None:
    twice = [record(0.5, seed=seed, finished=f"2025-01-0{day}T00:00:00Z") for seed in range(40) for day in (1, 2)]
    notes = comparison_warnings(twice)
    assert len(notes) == 6
    assert notes[-1] == "35 more notes on repeated runs"


def test_hundreds_of_unequal_splits_and_restarts_are_counted() -> None:
    runs = [
        record(0.5, method=name, seed=seed).model_copy(update={"split_hash": f"{name}{seed}", "restarts": 1})
        for name in "ab"
        for seed in range(20)
    ]
    notes = comparison_warnings(runs)
    assert [note for note in notes if note.endswith("unequal splits of lesions, multi-class classification")] == [
        "15 more notes on unequal splits of lesions, multi-class classification"
    ]
    (restarts,) = (note for note in notes if "collapsed" in note)
    assert restarts.count("a · resnet10 seed 0, 1, 2") == 1
    assert restarts.count("resnet10") == 2
