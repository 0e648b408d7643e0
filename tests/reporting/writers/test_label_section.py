import math
from pathlib import Path

import pytest
import scipy.stats

from made_records import epochs, record, write_run
from s4mi.records import ImageScores, Pretraining, RunRecord, write_image_scores
from s4mi.reporting.results.comparison import Comparison, Technique, compare
from s4mi.reporting.results.label_efficiency import full_supervision
from s4mi.reporting.results.labels_needed import label_answers
from s4mi.reporting.results.paired_tests import pairs_of, probability
from s4mi.reporting.results.per_image import over_patients, read_image_scores
from s4mi.reporting.results.runs import ReportRun, load_runs
from s4mi.reporting.results.scores import Metric, metric_of
from s4mi.reporting.results.tables import result_table
from s4mi.reporting.writers.html import write_report
from s4mi.reporting.writers.label_section import LabelsSection, labels_section

IOU, HD95 = metric_of("segmentation"), metric_of("segmentation", "hd95")
# By technique: IoU of seeds 0, 1 and 2 at 10, 50 and 100 % of 480 labels.
SCORES = {
    "dedl": {10: (0.60, 0.61, 0.59), 50: (0.70, 0.71, 0.70), 100: (0.75, 0.76, 0.74)},
    "cross_teaching": {10: (0.70, 0.69, 0.71), 50: (0.80, 0.81, 0.79), 100: (0.82, 0.81, 0.82)},
    "picie": {0: (0.40, 0.41, 0.42)},
}


def runs(scores: dict = SCORES, **about) -> list[ReportRun]:
    made = [
        record(score, method=method, task="segmentation", fraction=float(fraction), seed=seed, **about)
        for method, cells in scores.items()
        for fraction, cell in cells.items()
        for seed, score in enumerate(cell)
    ]
    return [ReportRun(each, epochs(metric="iou"), "", each.config_hash) for each in made]


def comparison(made: list[ReportRun]) -> Comparison:
    return compare([run.record for run in made])[0]


def section(made: list[ReportRun], metric: Metric = IOU) -> LabelsSection | None:
    each = comparison(made)
    table = result_table(each, metric)
    return labels_section(each, table, full_supervision(each, metric), label_answers(each, metric))


def images(run: RunRecord, *, ahead: float, patients: int = 8) -> tuple[ImageScores, ...]:
    """Two images a patient, with an IoU that depends on the patient, and `ahead`."""
    values = [round(0.5 + ahead * (1 + 0.1 * (p % 3)) + 0.02 * p, 6) for p in range(patients)]
    return tuple(
        ImageScores(
            image=f"s{run.seed}-{p}-{i}",
            group=f"p{p}",
            iou={"lesion": value},
            dice={"lesion": value},
            hd95={"lesion": None},
            assd={"lesion": None},
        )
        for p, value in enumerate(values)
        for i in range(2)
    )


def with_images(made: list[ReportRun]) -> list[ReportRun]:
    ahead = {"cross_teaching": 0.05}
    return [
        ReportRun(r.record, r.epochs, "", r.directory, images(r.record, ahead=ahead.get(r.record.method, 0.0)))
        for r in made
    ]


def test_a_technique_that_needs_fewer_labels_is_said_to_with_its_interval() -> None:
    made = section(runs())
    assert (
        made.target
        == "Full supervision is U-Net (DEDL) · resnet10 with all 480 labels, IoU 0.750 (0.724–0.775) (n = 3)."
    )
    answer = made.answers.cheapest(made.answers.targets[0])
    assert answer.technique.method == "cross_teaching"
    assert 0 <= answer.low < answer.labels < answer.high < 240, "0: the fewest tested or fewer"
    # 0.70 at 48 and 0.80 at 240 labels: 0.75 lies halfway in the logarithm
    assert answer.labels == math.ceil(math.sqrt(48 * 240))
    full = "to reach full supervision (IoU 0.750), cross teaching · resnet10 needs 108 masks"
    assert answer.sentence == f"{full} (95 %: {answer.span}; few seeds, n = 3)"


def test_the_table_says_what_the_sentences_say() -> None:
    made = section(runs())
    crossed = next(row for row in made.table.rows if row.cells[0].plain == "cross teaching (resnet10)")
    answer = next(one for one in made.answers.answers if one.technique.method == "cross_teaching")
    cells = [cell.plain for cell in crossed.cells]
    assert cells[1] == "full supervision (IoU 0.750)"
    assert cells[2:4] == [f"{answer.labels}", f"{answer.span} (few seeds)"]
    assert f"needs {answer.labels} masks (95 %: {answer.span}; few seeds, n = 3)." in made.sentences[0]
    assert [row.cells[1].plain for row in made.gains.rows] == ["48 → 480", "48 → 480"]
    one = {method: {f: cell[:1] for f, cell in cells.items()} for method, cells in SCORES.items()}
    told = [row.cells[4].plain for row in section(runs(one)).table.rows if "cross" in row.cells[0].plain]
    assert told[0] == "1 seed leaves no usable interval; at least 3 are needed (add seeds=[0,1,2,3,4])"


def test_where_lower_is_better_the_answer_is_the_same() -> None:
    # In these records HD95 is 80 · (1 - IoU)
    by_iou, by_distance = (section(runs(), metric).answers for metric in (IOU, HD95))
    one, other = (answers.cheapest(answers.targets[0]) for answers in (by_iou, by_distance))
    assert (one.labels, one.technique) == (other.labels, other.technique)
    assert other.low == pytest.approx(one.low, rel=0.05)


def test_full_supervision_is_the_best_that_learns_from_labels_alone() -> None:
    start = Pretraining(
        method="dino", encoder="vit", epochs=1, seconds=1.0, images=480, config_hash="p", weights_hash="w"
    )
    made = [
        record(score, method="finetune", fraction=100.0, seed=seed, backbone=backbone).model_copy(
            update={"technique": technique, "pretraining": pretraining}
        )
        for technique, backbone, pretraining, score in [
            ("transfer", "resnet10", None, 0.6),
            ("transfer", "vit", None, 0.7),
            ("dino", "vit", start, 0.9),
        ]
        for seed in (0, 1)
    ]
    made += [record(0.95, method="cross_teaching", fraction=100.0), record(0.99, method="finetune", fraction=50.0)]
    reference = full_supervision(compare(made)[0], metric_of("multiclass"))
    assert reference.technique == Technique("transfer", "vit")
    assert (reference.mean, reference.labels) == (pytest.approx(0.7), 480)
    assert dict(reference.scores) == {0: 0.7, 1: 0.7}


def test_without_full_supervision_the_best_mean_is_the_target() -> None:
    made = section(runs({"dedl": {10: (0.6, 0.7), 50: (0.7, 0.8)}, "cross_teaching": SCORES["cross_teaching"]}))
    assert made.reference is None
    assert made.answers.targets[0].kind == "best"
    (target,) = (one for one in made.answers.targets if one.kind == "best")
    assert made.target == (
        f"No supervised technique was tested with 100 % of the labels; the target is the best mean (IoU "
        f"{target.score:.3f}), that of {target.source.label}."
    )


@pytest.mark.parametrize(
    "scores",
    [
        {"dedl": {10: (0.6, 0.7)}, "cross_teaching": {10: (0.6, 0.7)}},
        {"dedl": SCORES["dedl"]},
        {"dedl": {10: (None,), 100: (0.6,)}, "cross_teaching": {10: (None,), 100: (0.6,)}},
    ],
    ids=["one fraction", "one technique", "one fraction tested"],
)
def test_there_is_no_section_where_nothing_can_be_asked(scores: dict) -> None:
    assert section(runs(scores)) is None


def test_one_seed_claims_nothing() -> None:
    one = {method: {f: cell[:1] for f, cell in cells.items()} for method, cells in SCORES.items()}
    made = section(with_images(runs(one)))
    assert not any(answer.told for answer in made.answers.answers)
    tested = with_images(runs(one))
    pairs = pairs_of(comparison(tested), IOU, tested)
    assert pairs.rows == ()
    assert pairs.finding.startswith("No pair of techniques was tested: fewer than two common seeds")


def test_pairs_are_tested_over_common_seeds_and_corrected_together() -> None:
    made = pairs_of(comparison(runs()), IOU, runs())
    assert [(row.column.fraction, row.ahead.method, row.behind.method) for row in made.rows] == [
        (10.0, "cross_teaching", "dedl"),
        (100.0, "cross_teaching", "dedl"),
    ]
    ours = [row.seeds.test.p for row in made.rows]
    theirs = [scipy.stats.ttest_rel(SCORES["cross_teaching"][f], SCORES["dedl"][f]).pvalue for f in (10, 100)]
    assert ours == pytest.approx(theirs)
    smaller, larger = sorted(theirs)
    assert sorted(row.seeds.holm for row in made.rows) == pytest.approx([2 * smaller, max(2 * smaller, larger)])
    assert [row.seeds.n for row in made.rows] == [3, 3]
    assert made.rows[0].seeds.difference.startswith("+0.100 ± ")
    assert not made.over_patients


def test_runs_on_other_splits_are_no_pair() -> None:
    made = [
        ReportRun(run.record.model_copy(update={"split_hash": f"other{run.record.method}"}), (), "", run.directory)
        for run in runs()
    ]
    assert pairs_of(comparison(made), IOU, made).rows == ()


def test_over_patients_their_images_in_all_seeds_are_pooled() -> None:
    made = with_images(runs())
    row = pairs_of(comparison(made), IOU, made).rows[0]
    assert row.patients.n == 8
    # p0, p3, p6 differ by 0.05, p1, p4, p7 by 0.055, p2, p5 by 0.06
    assert row.patients.test.difference.mean == pytest.approx((3 * 0.05 + 3 * 0.055 + 2 * 0.06) / 8)
    assert row.patients.test.p == pytest.approx(2 / 2**8), "all of one sign: one flip and its mirror"
    assert row.patients.significant
    assert "and 2 over the test patients of these runs" in pairs_of(comparison(made), IOU, made).finding
    assert pairs_of(comparison(made), metric_of("segmentation", "pixel_accuracy"), made).rows[0].patients is None


def test_a_run_without_scores_of_images_leaves_patients_out() -> None:
    made = with_images(runs())
    made[0] = ReportRun(made[0].record, made[0].epochs, "", made[0].directory)
    rows = pairs_of(comparison(made), IOU, made).rows
    assert sorted((row.column.fraction, row.patients is None) for row in rows) == [(10.0, True), (100.0, False)]


def test_scores_of_images_are_read_as_they_were_written(tmp_path: Path) -> None:
    scores = list(images(record(), ahead=0.1))
    scores.append(
        ImageScores(
            image="alone",
            group=None,
            iou={"lesion": None, "hair": 0.25},
            dice={"lesion": None, "hair": 0.4},
            hd95={"lesion": None, "hair": None},
            assd={"lesion": None, "hair": None},
        )
    )
    write_image_scores(scores, tmp_path / "test_images.csv")
    assert read_image_scores(tmp_path) == tuple(scores)
    interval = over_patients(scores, IOU)
    assert interval.n == 9
    assert interval.low < interval.mean < interval.high
    assert over_patients(scores, HD95) is None
    assert read_image_scores(tmp_path / "nowhere") == ()


@pytest.mark.parametrize("text", ["image,iou\na,1\n", "image,group,class,iou,dice,hd95,assd\na,,lesion,much,,,\n"])
def test_a_broken_table_of_images_is_told_and_the_run_counts(tmp_path: Path, text: str) -> None:
    write_run(tmp_path / "one", record(0.6, task="segmentation"))
    (tmp_path / "one/test_images.csv").write_text(text, encoding="utf-8")
    loaded, notes = load_runs(tmp_path)
    assert [run.images for run in loaded] == [()]
    assert len(notes) == 1
    assert "one: counted without its per-image scores, test_images.csv cannot be read" in notes[0]


def test_the_page_has_the_section_and_the_interval_of_each_run(tmp_path: Path) -> None:
    text = write_report(with_images(runs()), tmp_path / "r.html", title="t").read_text(encoding="utf-8")
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    assert text.count("<h4>Labels needed</h4>") == 1
    assert "full supervision (IoU 0.750)" in text
    assert text.count("<h4>Paired comparisons</h4>") == 1
    assert "over n = 8 patients" in text
    assert text.count("<dt>IoU per test image</dt>") == 21


def test_the_order_of_runs_is_nothing() -> None:
    metric, forth = IOU, comparison(runs())
    back = comparison(runs()[::-1])
    one, other = (label_answers(each, metric) for each in (forth, back))
    assert one.answers == other.answers
    assert one.sentence == other.sentence


def test_a_p_value_is_never_nothing() -> None:
    assert [probability(p) for p in (None, 0.0, 0.0312, 1.0)] == ["–", "< 0.001", "0.031", "1.000"]
