"""The head of a report: what a clinician asks first, for every task, and no more than the tests support."""

import pytest

from made_data import knowing
from made_records import record
from s4mi.records import Leakage, Part, Pretraining, RunRecord
from s4mi.reporting.figures.score_by_labels import missing, score_by_labels
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table
from s4mi.reporting.writers.contents import ReportContents, report_contents


def seeds(scores: list[float], **about) -> list[RunRecord]:
    return [record(score, seed=seed, **about) for seed, score in enumerate(scores)]


def contents(*runs: RunRecord) -> ReportContents:
    return report_contents([ReportRun(run, (), "", f"{n}") for n, run in enumerate(runs)], title="t")


NET = {"method": "dedl", "task": "segmentation"}
COLOUR = {"method": "classical_segmenter", "backbone": "colour", "task": "segmentation"}


def test_masks_interval_and_baseline_are_said_in_the_words_of_a_clinician() -> None:
    runs = [
        *seeds([0.88, 0.89, 0.90], **NET), *seeds([0.91, 0.92, 0.93], **NET, fraction=100.0),
        *seeds([0.70, 0.712, 0.718], **COLOUR), *seeds([0.80, 0.812, 0.818], **COLOUR, fraction=100.0),
    ]  # fmt: skip
    (card,) = contents(*runs).cards
    # mean + 4.303 · 0.01 / √3, and the same on the scale of log-odds below it, as scores end at 1
    assert card.sentences[0].startswith("With 48 masks: IoU 0.89 (0.86–0.91), U-Net (DEDL) · resnet10, significantly")
    assert card.sentences[1].startswith("With 480, all there are: 0.92 (0.89–0.94), U-Net (DEDL) · resnet10")
    assert card.sentences[2] == (
        "A baseline of colour, texture and shape has 0.71 (0.69–0.73) with 48 and 0.81 (0.79–0.83) with 480; a network "
        "beats it beyond chance."
    )
    assert card.facts == "3 seeds per score; intervals: 95 %, over seeds; 120 test images per seed; 12 runs"


def test_a_baseline_that_is_not_beaten_is_the_first_sentence() -> None:
    runs = [*seeds([0.7, 0.8, 0.6], **NET), *seeds([0.75, 0.74, 0.76], **COLOUR)]
    (card,) = contents(*runs).cards
    assert card.sentences[0] == "No network beats the baseline of colour, texture and shape beyond chance."
    few = [*seeds([0.7, 0.8], **NET), *seeds([0.6, 0.61], **COLOUR)]
    assert contents(*few).cards[0].sentences[0] == (
        "No network is shown to beat the baseline of colour, texture and shape: 2 common seeds are too few to tell."
    )


def test_no_task_is_left_out_even_with_one_technique_or_no_score() -> None:
    runs = [
        *seeds([0.5, 0.6], method="a"), *seeds([0.6, 0.7], method="b"), record(0.8, **NET),
        record(None, dataset="untested"), record(0.4, task="multilabel", dataset="cells"),
    ]  # fmt: skip
    cards = contents(*runs).cards
    assert [card.title for card in cards] == [
        "lesions: multi-class classification", "cells: multi-label classification", "lesions: segmentation",
        "untested: multi-class classification",
    ], "those that compare nothing come last"  # fmt: skip
    assert "the only technique tested there" in cards[2].sentences[0]
    assert cards[3].sentences == ("No run was tested yet, so there is nothing to compare.",)


def test_intervals_end_where_scores_end_and_too_wide_ones_say_so() -> None:
    high = contents(*seeds([0.97, 0.99, 1.0], method="a")).cards[0].sentences[0]
    assert "0.99 (0.91–1.00)" in high
    wide = contents(*seeds([0.2, 0.8], method="a")).cards[0].sentences[0]
    assert "0.50 (0.00–1.00, too wide to tell much)" in wide
    assert "0.60 (1 seed)" in contents(record(0.6)).cards[0].sentences[0]


def test_a_lead_is_significant_or_said_not_to_be() -> None:
    even = contents(*seeds([0.5, 0.7, 0.6], method="a"), *seeds([0.61, 0.6, 0.62], method="b")).cards[0]
    assert "b · resnet10, the best mean of 2; its lead over a · resnet10 is not significant" in even.sentences[0]
    clear = contents(*seeds([0.5, 0.51, 0.52], method="a"), *seeds([0.7, 0.712, 0.72], method="b")).cards[0]
    assert "b · resnet10, significantly better than the other technique" in clear.sentences[0]


def test_scores_of_a_leak_are_called_so_before_all_else() -> None:
    leaking = [run.model_copy(update={"leaks": 3}) for run in seeds([0.9, 0.91], method="a")]
    started = Pretraining(
        method="dino", encoder="vit", epochs=1, seconds=1.0, images=9, config_hash="p", weights_hash="w",
        contaminated={"test": 4},
    )  # fmt: skip
    spoilt = [run.model_copy(update={"pretraining": started}) for run in seeds([0.9, 0.91], method="a")]
    for runs in (leaking, spoilt):
        (card,) = contents(*runs).cards
        assert card.alarm.startswith("These scores are too optimistic")
        assert card.text.index(card.alarm) < card.text.index("With 48 labels")
    assert contents(*seeds([0.9], method="a")).cards[0].alarm == ""


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("train", "test"), "These scores are too optimistic: training had seen test images, "),
        (("val", "test"), "These scores are too optimistic: runs were chosen on test images, "),
        (("train", "val"), "Runs were chosen on images that training had seen, "),
    ],
)
def test_an_alarm_claims_no_more_than_the_parts_that_leak(parts: tuple[Part, Part], said: str) -> None:
    leak = Leakage(kind="near", parts=parts, pairs=2)
    (card,) = contents(*(knowing(run, leaks=[leak]) for run in seeds([0.9, 0.91], method="a"))).cards
    assert card.alarm.startswith(said)


def test_equal_scores_have_no_interval_on_a_card() -> None:
    (card,) = contents(*seeds([0.9, 0.9, 0.9], method="a"), *seeds([0.5, 0.6, 0.4], method="b")).cards
    assert card.sentences[0].startswith("With 48 labels: macro F1 0.90 (the same with 3 seeds), a · resnet10")


@pytest.mark.parametrize(
    ("runs", "figure"),
    [
        ([record(None)], False), ([record(0.5)], False), ([record(0.5), record(0.6, method="b")], True),
        ([record(0.5), record(0.6, fraction=100.0)], True),
    ],
)  # fmt: skip
def test_a_figure_has_two_points_at_least_or_says_what_is_missing(runs: list[RunRecord], figure: bool) -> None:
    (comparison,) = compare(runs)
    table = result_table(comparison, metric_of(comparison.task))
    assert (score_by_labels(comparison, table) is not None) == figure
    assert (missing(table) == "") == figure
