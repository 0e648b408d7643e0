"""Influence of single patients on the score of a run, and what it does to tests, tables and spreads."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import f1_score

from made_predictions import predictions_of
from made_records import record
from s4mi.maths.segmentation_metrics import SegmentationTally
from s4mi.records import ImageScores
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.findings import findings_together
from s4mi.reporting.results.paired_tests import corrected_together, pairs_of
from s4mi.reporting.results.patient_effects import crossed_score, influences_of, less, patient_influences
from s4mi.reporting.results.runs import ReportRun, run_key
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.spreads import measured_spread
from s4mi.reporting.results.tables import result_table, score_table
from simulated_study import SimulatedStudy

IOU = metric_of("segmentation")


def segmented(values: dict[str, list[float]], **about) -> ReportRun:
    """One run with the IoU of each image of each patient."""
    images = [
        ImageScores(image=f"{patient}{n}", group=patient, iou={"lesion": v}, dice={"lesion": v}, hd95={}, assd={})
        for patient, some in values.items()
        for n, v in enumerate(some)
    ]
    mean = float(np.mean([v for some in values.values() for v in some]))
    return ReportRun(record(mean, task="segmentation", **about), (), "", "run", images=tuple(images))


def test_one_image_per_patient_gives_the_standard_error_of_the_mean() -> None:
    values = {"a": [0.5], "b": [0.9], "c": [0.7], "d": [0.8]}
    ((_, one),) = patient_influences([segmented(values)], IOU).items()
    assert sum(value**2 for value in one.values()) == pytest.approx(scipy.stats.sem([0.5, 0.9, 0.7, 0.8]) ** 2)
    assert one["patient b"] > 0 > one["patient a"]


@pytest.mark.parametrize("name", ["iou", "dice", "iou_image", "dice_image", "iou_patient", "dice_patient", "hd95"])
def test_scores_of_masks_are_computed_anew_without_each_patient(name: str) -> None:
    """Against the scores of the other patients' images; class c is in one patient alone."""
    rng, groups = np.random.default_rng(0), ["p", "p", "q", "r", "s"]
    truths = [rng.integers(0, 4 if group == "s" else 3, (12, 9 + n)).astype(np.uint8) for n, group in enumerate(groups)]
    given = [np.where(rng.random(t.shape) < 0.7, t, 0).astype(np.uint8) for t in truths]
    classes = ("background", "a", "b", "c")

    def tally(rows: list[int]) -> SegmentationTally:
        made = SegmentationTally(classes, distances=name == "hd95")
        for n in rows:
            made.add(given[n], truths[n], image=f"i{n}", group=groups[n])
        return made

    every = tally([0, 1, 2, 3, 4])
    run = ReportRun(record(0.5, task="segmentation"), (), "", "run", images=every.per_image())
    ((_, one),) = patient_influences([run], metric_of("segmentation", name)).items()
    without = {g: getattr(tally([n for n in range(5) if groups[n] != g]).scores(), name) for g in "pqrs"}
    mean = np.mean(list(without.values()))
    assert one == pytest.approx({f"patient {g}": np.sqrt(3 / 4) * (mean - score) for g, score in without.items()})


def test_macro_f1_is_that_of_scikit_learn_without_each_patient() -> None:
    truth, given = "aabbccabc", "aabbcabbc"
    run = ReportRun(
        record(0.8, classes=("a", "b", "c")),
        (),
        "",
        "run",
        predictions=predictions_of(truth, given, groups="ppqqrrsst"),
    )
    ((_, one),) = patient_influences([run], metric_of("multiclass")).items()
    groups = np.array(list("ppqqrrsst"))
    without = {
        g: f1_score(np.array(list(truth))[groups != g], np.array(list(given))[groups != g], average="macro")
        for g in "pqrst"
    }
    mean = np.mean(list(without.values()))
    expected = {f"patient {g}": np.sqrt(4 / 5) * (mean - score) for g, score in without.items()}
    assert one == pytest.approx(expected)


def test_unknown_labels_have_no_influence() -> None:
    made = predictions_of("aabbccabc", "aabbcabbc", groups="ppqqrrsst")
    known = np.ones_like(made.truth)
    known[0] = known[5] = False
    runs = [
        ReportRun(record(0.8, task="multilabel", classes=("a", "b", "c")), (), "", "run",
                  predictions=replace(made, decisions=decisions, known=known))
        for decisions in (made.decisions, np.where(known, made.decisions, ~made.decisions))
    ]  # fmt: skip
    one, other = (patient_influences([run], metric_of("multilabel")) for run in runs)
    assert one == other


def test_scores_of_ranks_have_no_influences_and_tables_are_then_over_seeds() -> None:
    run = ReportRun(record(0.8, classes=("a", "b", "c")), (), "", "run", predictions=predictions_of("abc", "abb"))
    assert patient_influences([run], metric_of("multiclass", "auroc")) == {}
    (comparison,) = compare([run.record])
    assert not result_table(comparison, metric_of("multiclass", "auroc"), [run]).over_patients


def test_a_patient_that_only_one_run_saw_counts_with_that_one() -> None:
    assert less({"a": 0.2, "b": 0.1}, {"b": 0.3}) == pytest.approx({"a": 0.2, "b": -0.2})


def test_the_table_counts_the_patients_that_seeds_share() -> None:
    rng = np.random.default_rng(0)
    easy = rng.normal(0, 0.1, 30)
    runs = [
        segmented(
            {f"p{n}": [float(v)] for n, v in enumerate(np.clip(0.7 + easy + rng.normal(0, 0.01, 30), 0, 1))}, seed=s
        )
        for s in range(5)
    ]
    (comparison,) = compare([run.record for run in runs])
    with_patients, alone = (result_table(comparison, IOU, some).rows[0].cells[0].interval for some in (runs, ()))
    assert with_patients.mean == alone.mean
    assert with_patients.half_width == pytest.approx(scipy.stats.t.ppf(0.975, 16) * 0.1 / 30**0.5, rel=0.3)
    assert with_patients.half_width > 3 * alone.half_width
    assert "Intervals include the choice of test patients" in score_table(result_table(comparison, IOU, runs)).caption
    influences = influences_of(comparison, runs, IOU)
    assert set(influences) == {run_key(run.record) for run in runs}
    assert crossed_score(comparison.records, IOU, influences) == with_patients
    assert (with_patients.n, with_patients.few, alone.few) == (5, "patients", "")


def test_techniques_that_differ_on_one_test_set_by_luck_are_significant_over_seeds_alone() -> None:
    study = SimulatedStudy(techniques=2, seeds=6, over_seeds=0.002, over_patients=0.08, patients=40)
    naive = honest = 0
    for seed in range(12):
        runs = study.runs(np.random.default_rng(seed))
        (comparison,) = compare([run.record for run in runs])
        naive += any(row.seeds.significant for row in pairs_of(comparison, IOU, ()).rows)
        honest += any(row.seeds.significant for row in pairs_of(comparison, IOU, runs).rows)
    assert naive >= 6
    assert honest <= 2


def test_the_correction_covers_all_comparisons_of_a_report() -> None:
    runs = SimulatedStudy(techniques=2).runs(np.random.default_rng(1), winner=0.03)
    others = [
        ReportRun(run.record.model_copy(update={"dataset": "other"}), (), "", "o", images=run.images) for run in runs
    ]
    comparisons = compare([run.record for run in [*runs, *others]])
    tables = [result_table(one, IOU, [*runs, *others]) for one in comparisons]
    findings = findings_together(comparisons, tables, [*runs, *others])
    alone = [pairs_of(one, IOU, [*runs, *others]) for one in comparisons]
    assert [one.pairs for one in findings] == list(corrected_together(alone))
    for together, own in zip(findings, alone, strict=True):
        for row, before in zip(together.pairs.rows, own.rows, strict=True):
            assert row.seeds.holm >= before.seeds.holm
    smallest = min(row.seeds.test.p for one in alone for row in one.rows)
    rows = [row for one in findings for row in one.pairs.rows]
    assert min(row.seeds.holm for row in rows) == pytest.approx(min(1, len(rows) * smallest))


def test_spreads_are_measured_as_they_were_drawn() -> None:
    study = SimulatedStudy(techniques=4, seeds=10, patients=150, over_seeds=0.02, over_patients=0.05, single=0.04)
    runs = study.runs(np.random.default_rng(2))
    (comparison,) = compare([run.record for run in runs])
    spread, count = measured_spread(comparison, IOU, runs)
    assert count == 12
    expected = study.spread
    assert (spread.seeds, spread.patients, spread.single) == pytest.approx(
        (expected.seeds, expected.patients, expected.single), rel=0.3
    )
    assert measured_spread(comparison, IOU, ()) is None
