"""Answers of a classification run say in a report what they say in its record."""

from pathlib import Path

import pytest

from made_predictions import predictions_of
from made_records import record, write_run
from s4mi.errors import S4miError
from s4mi.records import write_predictions
from s4mi.reporting.results.runs import load_runs
from s4mi.reporting.results.test_predictions import paired_predictions, read_predictions, share_correct

HEAD = "image,group,class,truth,probability,answer\n"


def test_an_older_run_without_a_table_counts(tmp_path: Path) -> None:
    write_run(tmp_path / "one", record(0.6))
    (run,), notes = load_runs(tmp_path)
    assert run.predictions is None
    assert not notes


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image,truth\na,1\n", "columns are not"),
        (HEAD + "a,,mole,1,0.5,1\nb,,mole,1,0.5\n", "test_answers.csv:3: 5 cells instead of 6"),
        (HEAD + "a,,mole,1,much,1\n", "are not a valid truth, probability and prediction"),
        (HEAD + "a,,mole,2,0.5,1\n", "are not a valid truth, probability and prediction"),
        (HEAD + "a,,mole,1,nan,1\n", "are not a valid truth, probability and prediction"),
        (HEAD + "a,,mole,1,0.5,1\na,,melanoma,0,0.5,0\nb,,mole,1,0.5,1\n", "not every image has every class"),
        (HEAD, "not every image has every class"),
    ],
)
def test_a_broken_table_is_told_and_the_run_counts(tmp_path: Path, text: str, problem: str) -> None:
    write_run(tmp_path / "one", record(0.6))
    (tmp_path / "one/test_answers.csv").write_text(text, encoding="utf-8")
    with pytest.raises(S4miError, match=problem):
        read_predictions(tmp_path / "one")
    (run,), (note,) = load_runs(tmp_path)
    assert run.predictions is None
    assert note.startswith("one: counted without its predictions, which cannot be read: ")


def test_a_table_beside_a_record_is_loaded(tmp_path: Path) -> None:
    write_run(tmp_path / "one", record(0.6))
    write_predictions(predictions_of("ab", "aa", groups="pq"), tmp_path / "one/test_answers.csv")
    (run,), _ = load_runs(tmp_path)
    assert run.predictions.groups == ("p", "q")


def test_an_image_is_right_or_wrong_or_in_part() -> None:
    given = predictions_of("abc", "abb")
    assert share_correct(given, multilabel=False) == {"i0": 1, "i1": 1, "i2": 0}
    assert share_correct(given, multilabel=True) == pytest.approx({"i0": 1, "i1": 1, "i2": 1 / 3})


def test_two_runs_are_compared_on_the_images_of_both() -> None:
    one, other = predictions_of("abc", "aba", images="xyz", groups="pqr"), predictions_of("cb", "cc", images="zy")
    pair = paired_predictions(one, other)
    assert pair.patients == ["patient q", "patient r"]
    assert pair.truth.tolist() == [[False, True, False], [False, False, True]]
    assert pair.one.tolist() == [[False, True, False], [True, False, False]]
    assert pair.other.tolist() == [[False, False, True], [False, False, True]]
    assert paired_predictions(one, None) is None
    assert paired_predictions(one, predictions_of("ab", "ab", images="uv")) is None
    assert paired_predictions(one, predictions_of("ab", "ab", images="xy", classes="abd")) is None
