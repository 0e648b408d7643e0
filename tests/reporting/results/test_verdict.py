"""The sentences on a comparison claim no more than the tests support."""

import pytest

from made_records import record
from s4mi.records import RunRecord
from s4mi.reporting.results.cards import task_card
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.findings import findings_of, rank
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import result_table
from s4mi.reporting.results.verdict import finding_sentences


def findings(runs: list[RunRecord]):
    return [findings_of(each, result_table(each, metric_of(each.task))) for each in compare(runs)]


def say(*runs: RunRecord) -> tuple[str, str, str]:
    """The sentences on few labels, full supervision and labels needed."""
    (one,) = findings(list(runs))
    few, full, needed = finding_sentences(one)
    assert (few.partition(":")[0], full.partition(":")[0]) == ("Few labels", "Full supervision")
    assert needed == one.answers.sentence
    assert all(sentence.count(". ") == 0 and sentence.endswith(".") for sentence in (few, full, needed))
    return few, full, needed


def seeds(scores: list[float], **about) -> list[RunRecord]:
    return [record(score, seed=seed, **about) for seed, score in enumerate(scores)]


def test_a_lead_that_every_seed_shows_alike_is_significant() -> None:
    few, _, _ = say(*seeds([0.50, 0.60, 0.70], method="a"), *seeds([0.60, 0.7001, 0.80], method="b"))
    assert "b · resnet10 is best at 10 % of the labels (48 images), macro F1 0.700 (0.417–0.948) (n = 3 seeds)" in few
    assert "significantly better than the other technique (paired over seeds, p < 0.05 after Holm's correction)" in few


def test_a_lead_that_seeds_disagree_on_is_not_significant() -> None:
    few, _, _ = say(*seeds([0.5, 0.6, 0.7], method="a"), *seeds([0.7, 0.55, 0.72], method="b"))
    assert "b · resnet10 has the best mean at 10 %" in few
    assert "difference to a · resnet10 is not significant across seeds" in few


def test_one_seed_is_never_significant_however_far_the_scores() -> None:
    few, _, _ = say(record(0.1, method="a"), record(0.9, method="b"))
    assert "difference to a · resnet10 is not significant across seeds" in few
    assert "(n = 1 seed)" in few
    assert "±" not in few


def test_the_rival_named_is_one_whose_difference_is_not_significant() -> None:
    runs = [
        *seeds([0.10, 0.90, 0.3], method="a"),
        *seeds([0.700, 0.701, 0.702], method="b"),
        *seeds([0.8, 0.8011, 0.802], method="c"),
    ]
    few, _, _ = say(*runs)
    assert "c · resnet10 has the best mean" in few
    assert "significantly better than 1 of the 2 others, but not than a · resnet10" in few


def test_the_best_of_a_column_may_have_a_backbone_that_no_other_has() -> None:
    """Bold marks the best within each backbone; the sentence is on all of them, over the seed that all share."""
    runs = [
        *seeds([0.76, 0.69], method="classical", backbone="colour, texture, shape"),
        record(0.57, method="dino"), record(0.55, method="transfer"),
        record(0.24, method="dino", backbone="vit"), record(0.19, method="transfer", backbone="vit"),
    ]  # fmt: skip
    (one,) = findings(runs)
    few = next(sentence for sentence in finding_sentences(one) if sentence.startswith("Few labels: "))
    assert "classical · colour, texture, shape has the best mean at 10 %" in few


def test_the_smallest_fraction_is_told_and_none_between() -> None:
    runs = [record(0.5 + 0.1 * (m == "b"), method=m, fraction=f) for m in "ab" for f in (10, 50, 100)]
    assert "at 10 % of the labels (48 images)" in say(*runs)[0]
    assert "50 %" not in " ".join(say(*runs))


def test_what_takes_no_labels_is_told_beside() -> None:
    runs = [
        record(0.3, method="picie", fraction=0.0, task="segmentation"),
        record(0.6, method="dedl", task="segmentation"),
    ]
    assert "without labels PiCIE · resnet10 reaches IoU 0.300 (n = 1 seed)" in say(*runs)[0]


def test_full_supervision_is_of_a_technique_that_learns_from_labels_alone() -> None:
    runs = [
        *seeds([0.70, 0.72], method="dedl", task="segmentation", fraction=100.0),
        *seeds([0.80, 0.83], method="cross_teaching", task="segmentation", fraction=100.0),
    ]
    few, full, _ = say(*runs)
    assert "nothing was tested between 0 % and 100 % of the labels" in few
    assert "U-Net (DEDL) · resnet10 reaches IoU 0.710 (0.569–0.837) (n = 2 seeds) with all 480 labels" in full
    assert "with the same labels cross teaching · resnet10 has the best mean, IoU 0.815" in full
    assert "the difference is significant" in full


def test_without_full_supervision_the_best_mean_is_to_be_reached() -> None:
    _, full, needed = say(*seeds([0.5, 0.6], method="a"), *seeds([0.7, 0.8], method="b"))
    assert "no supervised technique was tested with 100 % of the labels" in full
    assert needed.startswith("Labels needed to reach the best mean (macro F1 0.750): not estimable for any technique (")
    assert needed.endswith("tested with only one number of labels); add label_fractions=[5,10,20,50].")


def study(few: list[float], full: list[float]) -> list[RunRecord]:
    return [
        *seeds([0.70, 0.701, 0.699], method="dedl", task="segmentation", fraction=100.0),
        *seeds(few, method="cross_teaching", task="segmentation"),
        *seeds(full, method="cross_teaching", task="segmentation", fraction=100.0),
    ]


def test_labels_that_are_saved_are_told_with_their_interval() -> None:
    needed = say(*study([0.75, 0.751, 0.752], [0.80, 0.81, 0.82]))[2]
    start = (
        "To reach full supervision (IoU 0.700), cross teaching · resnet10 needs at most 48 masks, the fewest tested "
    )
    assert needed == f"{start}(95 %: at most 48; few seeds, n = 3)."


def test_what_never_reaches_is_said_not_to() -> None:
    needed = say(*study([0.4, 0.41, 0.42], [0.5, 0.51, 0.52]))[2]
    assert "full supervision): not estimable for any technique (" in needed
    assert " needs " not in needed


def test_one_seed_says_nothing_of_labels_needed() -> None:
    runs = [
        record(0.7, method="dedl", task="segmentation", fraction=100.0),
        record(0.9, method="cross_teaching", task="segmentation"),
    ]
    assert "not estimable for any technique" in say(*runs)[2]


def test_who_does_not_beat_the_majority_baseline_is_named_so() -> None:
    assert "no better than the majority baseline" in say(record(0.2))[0]
    assert "no better" not in say(record(0.21))[0]


def test_a_lone_technique_wins_nothing() -> None:
    few, _, needed = say(record(0.6, task="segmentation"))
    assert "only transfer · resnet10 was tested at 10 % of the labels (48 images), IoU 0.600 (n = 1 seed)" in few
    assert "best" not in few
    assert "not estimable" in needed


def test_without_tests_nothing_is_claimed() -> None:
    assert finding_sentences(findings([record(None)])[0]) == ["No run was tested yet, so there is nothing to compare."]


def test_a_column_is_ranked_by_what_is_better() -> None:
    runs = [record(iou, task="segmentation", method=m) for m, iou in [("near", 0.9), ("far", 0.4)]]
    (comparison,) = compare(runs)
    for name, first in (("iou", "near"), ("hd95", "near")):
        ranking = rank(result_table(comparison, metric_of("segmentation", name)), 0)
        assert ranking is not None
        assert ranking.entries[0].technique.method == first


@pytest.mark.parametrize(
    ("dino", "scratch", "sentence", "card"),
    [
        ({1: 0.818}, {0: 0.793, 1: 0.831}, "is ahead of the others over the seeds that it shares with each",
         "ahead over the seeds that are shared; its lead over dino"),
        ({2: 0.9}, {0: 0.5, 1: 0.6}, "was tested with most seeds",
         "tested with most seeds; its difference to dino"),
        ({1: 0.8}, {0: 0.793, 1: 0.831}, "has the best mean", "the best mean of 2; its lead over dino"),
    ],
)  # fmt: skip
def test_a_technique_has_the_best_mean_only_if_no_other_mean_is_better(
    dino: dict[int, float], scratch: dict[int, float], sentence: str, card: str
) -> None:
    runs = [
        record(score, method=name, seed=seed)
        for name, scores in (("dino", dino), ("scratch", scratch))
        for seed, score in scores.items()
    ]
    (comparison,) = compare(runs)
    findings = findings_of(comparison, result_table(comparison, metric_of("multiclass")))
    assert f"scratch · resnet10 {sentence} at 10 %" in finding_sentences(findings)[0]
    assert card.replace("dino", "DINO") in task_card(findings).sentences[0]
