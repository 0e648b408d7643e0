"""What a report says of the labels that a score takes, on records with known learning curves."""

import numpy as np
import pytest

from made_records import record
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.records import RunRecord, TaskKind
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.label_hints import fractions_setting
from s4mi.reporting.results.labels_needed import LabelAnswers, label_answers
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from simulated_study import SimulatedStudy

CURVES = {"finetune": (0.90, 1.8, 0.5), "frozen": (0.86, 1.0, 0.5), "classical": (0.74, 0.8, 0.5)}


def study(
    fractions: tuple[float, ...], seeds: int, *, task: TaskKind = "multiclass", noise: float = 0.004, seed: int = 0
) -> list[RunRecord]:
    """Scores of three techniques by 4.8 labels per percent."""
    rng = np.random.default_rng(seed)
    return [
        record(
            top - slope * round(4.8 * f) ** -power + rng.normal(0, noise), method=name, fraction=f, seed=s, task=task
        )
        for name, (top, slope, power) in CURVES.items()
        for f in fractions
        for s in range(seeds)
    ]


def answers(runs: list[RunRecord], *, target: float | None = None) -> LabelAnswers:
    (comparison,) = compare(runs)
    return label_answers(comparison, metric_of(comparison.task), target=target)


def truth(name: str, score: float) -> float:
    top, slope, power = CURVES[name]
    return (slope / (top - score)) ** (1 / power)


def test_full_supervision_is_the_target_where_it_was_tested() -> None:
    told = answers(study((5, 10, 20, 50, 100), 5, seed=2))
    assert [target.kind for target in told.targets] == ["full", "below"]
    full, below = told.targets
    assert full.source.method == "finetune", "the best supervised mean at 100 %"
    assert {answer.technique.method for answer in told.to(full)} == {"frozen", "classical"}
    best = told.cheapest(below)
    top, slope, power = CURVES["finetune"]
    assert best.low <= truth(best.technique.method, top - slope * 480**-power - 0.01) <= best.high
    assert best.sentence.startswith(
        f"to reach {below.title}, {best.technique.label} needs {best.labels} labels (95 %: "
    )
    assert below.title.endswith(" (one point below full supervision)")


def test_without_the_full_column_the_best_mean_is_the_target() -> None:
    told = answers(study((5, 10, 20, 50), 5, task="segmentation"))
    assert [target.kind for target in told.targets] == ["best", "below"]
    assert told.noun == "masks"
    assert "masks" in told.sentence


def test_a_given_score_is_answered_for_each_technique() -> None:
    told = answers(study((5, 10, 20, 50), 5), target=0.7)
    given = told.targets[-1]
    assert (given.kind, given.title) == ("given", "macro F1 0.700")
    for answer in told.to(given):
        if answer.told:
            assert answer.low <= truth(answer.technique.method, 0.7) <= (answer.high or np.inf)
    assert [answer.technique.method for answer in told.to(given)][:2] == ["frozen", "finetune"], "fewest labels first"


def test_what_was_bought_and_what_more_would_bring() -> None:
    told = answers(study((5, 10, 20, 50), 5, task="segmentation"))
    gain = next(one for one in told.gains if one.technique.method == "finetune")
    _, slope, power = CURVES["finetune"]
    assert (gain.fewest, gain.most, gain.more) == (24, 240, 480), "all masks, which are twice as many"
    expected = slope * (24**-power - 240**-power)
    assert gain.brought.low <= expected <= gain.brought.high
    assert gain.would_bring.low <= slope * (240**-power - 480**-power) <= gain.would_bring.high
    assert gain.sentence.startswith("24 → 240 masks brought IoU +0.2")
    assert "; 480 would bring +0.0" in gain.sentence


@pytest.mark.parametrize(
    ("fractions", "seeds", "reason", "hint"),
    [
        ((10, 50), 5, "a curve needs 4 numbers of labels", "add label_fractions=[5,10,20,50]"),
        ((5, 10, 20, 50), 2, "2 seeds leave no usable interval; at least 3 are needed", "add seeds=[0,1,2,3,4]"),
        ((5, 10, 20, 50), 1, "1 seed leaves no usable interval; at least 3 are needed", "add seeds=[0,1,2,3,4]"),
        ((10,), 5, "tested with only one number of labels", "add label_fractions=[5,10,20,50]"),
    ],
)
def test_a_refusal_has_its_reason_and_its_hint(
    fractions: tuple[float, ...], seeds: int, reason: str, hint: str
) -> None:
    told = answers(study(fractions, seeds), target=0.85)
    refused = next(one for one in told.to(told.targets[-1]) if one.technique.method == "finetune")
    assert (refused.kind, refused.labels) == ("refused", None)
    assert reason in refused.reason
    assert refused.hint == hint
    start = "labels needed to reach macro F1 0.850: not estimable for finetune · resnet10: "
    assert refused.sentence == start + refused.reason
    if seeds < 3:
        assert told.best is None
        assert told.sentence.startswith("Labels needed to reach the best mean (macro F1 0.")
        assert "): not estimable for any technique (" in told.sentence
        assert told.sentence.endswith(f"; {hint}.")


def test_three_seeds_say_that_they_are_few() -> None:
    told = answers(study((5, 10, 20, 50), 3, noise=0.002), target=0.7)
    assert told.cheapest(told.targets[-1]).few_seeds
    assert "few seeds, n = 3" in told.cheapest(told.targets[-1]).sentence


def test_a_level_above_all_scores_is_not_reached_by_labels() -> None:
    told = answers(study((5, 10, 20, 50, 100), 5, noise=0.001), target=0.97)
    reasons = {answer.technique.method: answer for answer in told.to(told.targets[-1])}
    assert "the curve levels off below it" in reasons["classical"].reason
    assert reasons["classical"].hint == ""


def test_with_test_patients_intervals_are_wider_than_over_seeds_alone() -> None:
    runs: list[ReportRun] = SimulatedStudy(fractions=(5.0, 10.0, 20.0, 50.0), patients=40, over_patients=0.2).runs(
        np.random.default_rng(0)
    )
    (comparison,) = compare([run.record for run in runs])
    metric = metric_of("segmentation")
    wide, narrow = (label_answers(comparison, metric, some).gains[0].brought for some in (runs, ()))
    assert wide.mean == pytest.approx(narrow.mean)
    assert wide.half_width > 1.5 * narrow.half_width


def test_errors_are_reached_from_above() -> None:
    runs = [
        record(score, method="frozen", fraction=f, seed=s, task="segmentation")
        for f, score in ((5, 0.5), (10, 0.6), (20, 0.67), (50, 0.72))
        for s, score in enumerate(score + np.random.default_rng(int(f)).normal(0, 0.003, 5))
    ]
    (comparison,) = compare(runs)
    told = label_answers(comparison, metric_of("segmentation", "hd95"), target=30.0)
    (answer,) = told.to(told.targets[-1])
    assert answer.told
    assert 24 <= answer.labels <= 96
    assert told.gains[0].brought.mean < 0, "fewer pixels of distance"


def test_a_hint_keeps_numbers_of_images_as_they_were_asked_for() -> None:
    # Their shares of the labels would be other runs, and those that are finished would be trained again.
    runs = [
        run.model_copy(update={"labels_asked": f"{run.labels.train_labelled} images"})
        if run.label_fraction == 10
        else run
        for run in study((10, 50), 5)
    ]
    told = answers(runs, target=0.85)
    hints = {answer.hint for answer in told.to(told.targets[-1])}
    assert hints == {"add 'label_fractions=[5,48 images,20,50]'"}


def test_no_hint_asks_for_no_labels() -> None:
    setting = fractions_setting([0.0, 10.0, 40.0])
    assert setting == "label_fractions=[10,40]"
    for amount in setting.removeprefix("label_fractions=[").removesuffix("]").split(","):
        assert LabelAmount.parse(amount).value > 0, "a study takes it"


def test_a_technique_that_is_the_only_one_and_the_target_was_tested_all_the_same() -> None:
    runs = [
        record(score, fraction=f, seed=s, task="segmentation", method="finetune")
        for f, score in ((10, 0.6), (100, 0.8))
        for s in range(3)
    ]
    (comparison,) = compare(runs)
    told = label_answers(comparison, metric_of("segmentation", "hd95"))  # no point below a distance
    assert told.sentence == "Labels needed: not estimable, no other technique was tested."


def test_a_curve_of_errors_levels_off_above_what_it_does_not_reach() -> None:
    runs = [
        record(0.7 - round(4.8 * f) ** -0.5 + noise, method="frozen", fraction=f, seed=s, task="segmentation")
        for f in (5, 10, 20, 50, 100)
        for s, noise in enumerate(np.random.default_rng(int(f)).normal(0, 0.001, 5))
    ]
    (comparison,) = compare(runs)
    told = label_answers(comparison, metric_of("segmentation", "hd95"), target=2.0)
    (answer,) = told.to(told.targets[-1])
    assert "the curve levels off above it, at " in answer.reason
    assert answer.reason.endswith(" or more")
    assert float(answer.reason.split()[-3]) > 2
