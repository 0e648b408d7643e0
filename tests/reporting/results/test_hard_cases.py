"""Validation chooses whose cases are shown, and cases are the most extreme there are."""

import numpy as np
import pytest

from made_predictions import predictions_of
from made_records import classification_scores, record
from s4mi.records import ImageScores, Predictions, RunRecord
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.hard_cases import (
    best_by_validation,
    cases_of,
    disputed,
    disputed_predictions,
    extreme_fractions,
)
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of

F1, IOU = metric_of("multiclass"), metric_of("segmentation")


def validated(val: float | None, test: float, *, method: str, **about: object) -> RunRecord:
    made = record(test, method=method, **about)
    return made.model_copy(update={"val": None if val is None else classification_scores(val)})


def test_the_technique_that_is_best_on_validation_is_shown_not_the_best_on_test() -> None:
    comparison = compare(
        [
            validated(0.5, 0.9, method="a", seed=0),
            validated(0.9, 0.1, method="b", seed=0),
            validated(0.6, 0.1, method="b", seed=1),
            validated(None, 1.0, method="c"),
            validated(0.99, 1.0, method="a", fraction=100.0),
        ]
    )[0]
    chosen = best_by_validation(comparison, F1, fraction=10.0)
    assert (chosen.technique.method, [each.seed for each in chosen.records]) == ("b", [0, 1])
    error = metric_of("multiclass", "calibration_error")
    assert best_by_validation(comparison, error, fraction=10.0).technique.method == "a", "all the same: the first"


def test_without_validation_nothing_is_chosen() -> None:
    comparison = compare([validated(None, 0.9, method="a")])[0]
    assert best_by_validation(comparison, F1, fraction=10.0) is None


def test_ends_are_the_fewest_labels_above_none_and_the_most() -> None:
    def ends(*fractions: float) -> list[float]:
        return extreme_fractions(compare([record(fraction=fraction) for fraction in fractions])[0])

    assert ends(0.0, 10.0, 50.0, 100.0) == [10.0, 100.0]
    assert ends(0.0) == [0.0]
    assert ends(50.0) == [50.0]


def overlaps(*values: float | None) -> ReportRun:
    scores = tuple(
        ImageScores(image=f"i{n}", group=None, iou={"l": v}, dice={"l": v}, hd95={"l": None}, assd={"l": None})
        for n, v in enumerate(values)
    )
    return ReportRun(record(0.5, task="segmentation"), (), "", "r", scores)


def test_the_images_with_least_and_most_overlap() -> None:
    cases = cases_of(overlaps(0.5, 0.1, None, 0.9, 0.8, 0.2), IOU, count=2)
    assert [case.image for case in cases.worst] == ["i1", "i5"]
    assert [case.image for case in cases.best] == ["i3", "i4"]
    assert (cases.images, cases.wrong) == (5, None)
    few = cases_of(overlaps(0.5, 0.1, 0.9), IOU, count=4)
    assert ([case.image for case in few.worst], [case.image for case in few.best]) == (["i1"], ["i2"])
    alone = cases_of(overlaps(0.5), IOU, count=4)
    assert ([case.image for case in alone.worst], alone.best) == (["i0"], ())
    assert cases_of(overlaps(), IOU, count=2) is None


def test_the_surest_mistakes_come_first() -> None:
    given = predictions_of("aabb", "abaa")
    shares = np.array([[0.9, 0.05, 0.05], [0.3, 0.6, 0.1], [0.8, 0.1, 0.1], [0.4, 0.3, 0.3]])
    given = Predictions(given.images, given.groups, given.classes, given.truth, shares, given.decisions)
    cases = cases_of(ReportRun(record(0.5), (), "", "r", predictions=given), F1, count=2)
    assert [case.image for case in cases.worst] == ["i2", "i1"]
    assert cases.worst[0].lines == ("truth b", "predicted a", "p = 0.80")
    assert [case.image for case in cases.best] == ["i0"]
    assert (cases.images, cases.wrong) == (4, 3)


def test_of_several_labels_the_surest_wrong_one_counts() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]], dtype=bool)
    shares = np.array([[0.9, 0.2, 0.1], [0.1, 0.7, 0.6], [0.3, 0.4, 0.45]])
    given = Predictions(("x", "y", "z"), (None,) * 3, ("a", "b", "c"), truth, shares, shares > 0.5)
    cases = cases_of(ReportRun(record(0.5, task="multilabel"), (), "", "r", predictions=given), F1, count=5)
    (wrong,) = cases.worst
    assert wrong.image == "y"
    assert wrong.lines == ("truth a, b", "predicted b, c", "missed a", "p = 0.10")
    assert wrong.score == pytest.approx(0.9)
    assert [(case.image, case.score) for case in cases.best] == [("x", pytest.approx(0.8)), ("z", pytest.approx(0.55))]
    assert cases.best[1].lines == ("truth none", "predicted none")


def test_without_answers_there_is_no_case() -> None:
    assert cases_of(ReportRun(record(0.5), (), "", "r"), F1, count=2) is None


def test_images_that_runs_dispute() -> None:
    one, other = {"a": 0.5, "b": 0.9, "c": 0.2, "d": 0.3}, {"a": 0.5, "b": 0.1, "c": 0.5, "e": 0.3}
    assert disputed([one, other], count=5) == ["b", "c"]
    assert disputed([one, other], count=1) == ["b"]
    assert disputed([one], count=5) == []


def test_answers_that_runs_dispute_with_the_class_they_dispute() -> None:
    one, other = predictions_of("aaa", "abc", images="xyz"), predictions_of("aa", "ac", images="xz")
    assert disputed_predictions([one, other], count=5) == {}, "x and z are answered alike"
    shifted = Predictions(
        other.images, other.groups, other.classes, other.truth, other.probabilities * [1, 1, 0.5], other.decisions
    )
    assert disputed_predictions([one, shifted], count=5) == {"z": "c", "x": "c"}
    assert disputed_predictions([one], count=5) == {}
