"""Scores of patients: each counts once, n is printed, and one image a patient makes no table."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from made_records import classification_scores, record
from s4mi.records import ImageScores, Predictions
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.paired_tests import pairs_of
from s4mi.reporting.results.patients import WORST, patients_section, run_over_patients
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.writers.html import write_report

F1, IOU = metric_of("multiclass"), metric_of("segmentation")
LESIONS = ("melanoma", "seborrheic keratosis", "nevus")


def answered(right: float, *, seed: int = 0, patients: int = 20, each: int = 3, known: bool = True) -> Predictions:
    """Predictions of three classes, each correct with probability `right`."""
    rng, n = np.random.default_rng(seed), patients * each
    truth = np.arange(n) % 3
    given = np.where(rng.random(n) < right, truth, (truth + 1) % 3)
    return Predictions(
        images=tuple(f"i{i}" for i in range(n)),
        groups=tuple(f"p{i // each}" if known else None for i in range(n)),
        classes=LESIONS,
        truth=np.eye(3, dtype=bool)[truth],
        probabilities=np.eye(3)[given] * 0.7 + 0.1,
        decisions=np.eye(3, dtype=bool)[given],
    )


def runs(**about) -> list[ReportRun]:
    """`good` and `poor` at two fractions and three seeds; on validation `poor` seems better."""
    made = []
    for method, right in (("good", 0.9), ("poor", 0.5)):
        for fraction in (10.0, 100.0):
            for seed in range(3):
                one = record(right * (1 - seed / 100), method=method, fraction=fraction, seed=seed)
                one = one.model_copy(update={"val": classification_scores(1 - right)})
                made.append(
                    ReportRun(one, (), "", f"{method}{fraction:g}-{seed}", (), answered(right, seed=seed, **about))
                )
    return made


def section_of(made: list[ReportRun]):
    return patients_section(compare([run.record for run in made])[0], F1, made)


def test_a_patient_counts_once_with_the_mean_of_images_and_seeds() -> None:
    made = runs()
    section = section_of(made)
    row = section.rows[0]
    assert (row.technique.method, row.column.fraction, row.mean.n, row.images) == ("good", 10.0, 20, 60)
    equal = np.mean([(run.predictions.truth == run.predictions.decisions).all(axis=1) for run in made[:3]], axis=0)
    naive = sorted(equal.reshape(20, 3).mean(axis=1))
    assert row.mean.mean == pytest.approx(np.mean(naive))
    assert row.median == pytest.approx(np.median(naive))
    assert (row.low, row.worst) == (pytest.approx(naive[1]), pytest.approx(naive[0]))
    assert row.mean.low < row.mean.mean < row.mean.high <= 1


def test_the_worst_patients_are_those_of_the_technique_that_validation_chose() -> None:
    section = section_of(runs())
    assert {(each.technique.method, each.column.fraction, each.seeds) for each in section.worst} == {
        ("poor", 10.0, 3),
        ("poor", 100.0, 3),
    }
    patients = section.worst[0].patients
    assert len(patients) == WORST
    assert [one.values[0] for one in patients] == sorted(one.values[0] for one in patients)
    assert {one.images for one in patients} == {3}


@pytest.mark.parametrize(
    ("known", "note"),
    [
        (True, "Each of the n = 20 test patients has one image"),
        (False, "each of the n = 20 test images counts as a separate patient"),
    ],
)
def test_one_image_a_patient_is_said_and_no_table(known: bool, note: str) -> None:
    section = section_of(runs(each=1, known=known))
    assert note in section.note
    assert (section.rows, section.worst) == ((), ())


def test_without_answers_there_is_nothing_to_say() -> None:
    made = [ReportRun(run.record, (), "", run.directory) for run in runs()]
    assert section_of(made) is None
    assert run_over_patients(made[0], F1) is None


def test_segmentation_has_iou_and_dice_of_patients() -> None:
    one = record(0.6, task="segmentation")
    images = tuple(
        ImageScores(image=f"i{i}", group=f"p{i // 2}", iou={"l": v}, dice={"l": 2 * v / (1 + v)}, hd95={}, assd={})
        for i, v in enumerate((0.2, 0.4, 0.8, 0.6))
    )
    made = [ReportRun(one, (), "", "r", images)]
    section = patients_section(compare([one])[0], IOU, made)
    assert section.measures == ("IoU", "Dice")
    assert [(each.patient, each.values[0]) for each in section.worst[0].patients] == [
        ("patient p0", pytest.approx(0.3)),
        ("patient p1", pytest.approx(0.7)),
    ]
    assert section.worst[0].patients[0].values[1] == pytest.approx((1 / 3 + 0.8 / 1.4) / 2)
    score = run_over_patients(made[0], IOU)
    assert (score.label, score.unit, score.interval.n) == ("IoU per test image", "patients", 2)
    assert 0 <= score.interval.low <= score.interval.high <= 1, "what no score can be is left out"


def test_the_interval_of_a_run_is_around_its_own_score() -> None:
    run = runs()[0]
    score = run_over_patients(run, F1)
    truth, given = run.predictions.truth.argmax(axis=1), run.predictions.decisions.argmax(axis=1)
    assert score.interval.mean == pytest.approx(f1_score(truth, given, average="macro"))
    assert (score.label, score.interval.n) == ("Test macro F1 over patients", 20)
    assert run_over_patients(run, metric_of("multiclass", "auroc")) is None


def test_classification_is_compared_over_patients_too() -> None:
    made = runs()
    found = pairs_of(compare([run.record for run in made])[0], F1, made)
    row = next(row for row in found.rows if row.column.fraction == 10.0)
    assert row.ahead.method == "good"
    naive = [
        f1_score(a.predictions.truth, a.predictions.decisions, average="macro")
        - f1_score(b.predictions.truth, b.predictions.decisions, average="macro")
        for a, b in zip(made[:3], made[6:9], strict=True)
    ]
    assert row.patients.test.difference.mean == pytest.approx(np.mean(naive))
    assert (row.patients.n, row.patients.unit) == (20, "patients")
    assert row.patients.significant
    assert "2 over the test patients of these runs" in found.finding


def test_one_run_without_answers_leaves_patients_out() -> None:
    made = runs()
    made[0] = ReportRun(made[0].record, (), "", made[0].directory)
    found = pairs_of(compare([run.record for run in made])[0], F1, made)
    assert sorted((row.column.fraction, row.patients is None) for row in found.rows) == [(10.0, True), (100.0, False)]


def test_the_page_prints_n_and_who_it_is_of(tmp_path: Path) -> None:
    text = write_report(runs(), tmp_path / "r.html", title="t").read_text(encoding="utf-8")
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    assert "<h4>Patients</h4>" in text
    assert "n = 20 patients" in text
    assert "The 8 worst patients of poor · resnet10 at 100 % of the labels" in text
    assert text.count("<dt>Test macro F1 over patients</dt>") == 12
    nobody = write_report(runs(known=False), tmp_path / "n.html", title="t").read_text(encoding="utf-8")
    nobody = nobody.replace("\N{NO-BREAK SPACE}", " ")
    assert "over n = 60 images" in nobody
    assert "n = 60 patients" not in nobody
