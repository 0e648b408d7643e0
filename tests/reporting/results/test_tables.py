import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_records import record
from s4mi.errors import S4miError
from s4mi.maths.stats import Interval
from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import compare, comparison_warnings
from s4mi.reporting.results.costs import NOT_MEASURED, cost_rows, cost_table, energy_note
from s4mi.reporting.results.detail_tables import detail_table
from s4mi.reporting.results.scores import MAJORITY, Metric, metric_of, spread
from s4mi.reporting.results.table_model import counted_once
from s4mi.reporting.results.tables import (
    MeanScore,
    result_table,
    result_tables,
    score_table,
)

share = st.floats(0.01, 1.0)


def study() -> list[RunRecord]:
    """Two techniques, two fractions, two seeds, on a classification and a segmentation data set."""
    runs = []
    for i, (method, backbone) in enumerate([("transfer", "resnet10"), ("cass", "resnet10")]):
        for fraction in (10.0, 100.0):
            for seed in (0, 1):
                score = 0.5 + 0.1 * i + 0.002 * fraction + 0.01 * seed
                runs.append(record(score, method=method, backbone=backbone, fraction=fraction, seed=seed))
                runs.append(record(score, method=method, fraction=fraction, seed=seed, task="segmentation"))
    return runs


@settings(deadline=None)
@given(st.integers(1, 3).flatmap(lambda n: st.lists(st.lists(share, min_size=n, max_size=n), min_size=2, max_size=4)))
def test_the_marked_cell_is_the_best_mean(scores: list[list[float]]) -> None:
    runs = [
        record(value, method=f"m{i}", seed=seed) for i, values in enumerate(scores) for seed, value in enumerate(values)
    ]
    (table,) = result_tables(runs)
    cells = [row.cells[0] for row in table.rows]
    best = max(sum(values) for values in scores)
    for cell, values in zip(cells, scores, strict=True):
        assert cell.best == (sum(values) == best) or abs(sum(values) - best) < 1e-12
    assert not any(cell.seeds for cell in cells)


def test_of_distances_the_smallest_is_marked() -> None:
    runs = [record(iou, task="segmentation", method=m) for m, iou in [("near", 0.9), ("far", 0.4)]]
    (table,) = result_tables(runs, segmentation="hd95")
    assert [(row.technique.method, row.cells[0].best) for row in table.rows] == [("far", False), ("near", True)]


def test_who_is_alone_is_not_best() -> None:
    (table,) = result_tables([record(0.6), record(None, method="untested")])
    assert not any(cell.best for row in table.rows for cell in row.cells)


def test_a_majority_answer_is_never_marked_best() -> None:
    runs = [record(0.01, method="a"), record(0.02, method="b")]
    (table,) = result_tables(runs)
    assert table.reference is not None
    assert table.reference[0].interval.mean == pytest.approx(0.2)
    assert not table.reference[0].best
    assert table.rows[1].cells[0].best


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_shuffled_records_give_the_same_tables(order: random.Random) -> None:
    shuffled = study()
    order.shuffle(shuffled)
    assert result_tables(shuffled) == result_tables(study())


def test_a_cell_is_mean_and_interval_over_its_seeds() -> None:
    (table,) = result_tables([record(0.54, seed=0), record(0.56, seed=1), record(0.9, seed=0, fraction=100)])
    assert [column.title for column in table.columns] == ["10 %", "100 %"]
    # s = 0.02/√2, so the upper end is t(1, 0.975) · 0.01 = 12.7062 · 0.01 above the mean. The lower one has that width
    # on the scale of log-odds: log(0.55/0.45) - 0.127062/(0.55 · 0.45) is the log-odds of 0.4225.
    assert table.rows[0].cells[0].text == "0.550 (0.422–0.677) (n = 2)"


def test_an_interval_ends_where_scores_end() -> None:
    (table,) = result_tables([record(0.5, seed=0), record(0.6, seed=1)])
    # 0.550 ± 12.7062 · 0.05 reaches beyond both ends.
    assert table.rows[0].cells[0].text == "0.550 (0.000–1.000) (n = 2)"
    pixels = Metric("hd95", "HD95 (px)", digits=1, bounded=False)
    assert MeanScore.of(Interval(20.0, 8.0, 32.0, 2), 2, pixels).text == "20.0 ± 12.0 (n = 2)"
    assert pixels.limits == (0.0, math.inf)
    assert spread(Interval(0.1, -0.4, 0.6, 3), digits=2, signed=True) == " ± 0.50"
    assert spread(Interval(0.7, -0.4, 1.0, 3), digits=2, signed=True) == " (−0.40 to +1.00)"
    assert spread(Interval(0.5, None, None, 1), digits=3) == spread(None, digits=3) == ""


def test_one_seed_prints_no_interval() -> None:
    (table,) = result_tables([record(0.5)])
    assert table.rows[0].cells[0].text == "0.500 (n = 1)"


def test_an_untested_run_is_a_dash_and_never_its_validation_score() -> None:
    (table,) = result_tables([record(None), record(0.5, method="other")])
    untested = next(row for row in table.rows if row.technique.method == "transfer").cells[0]
    assert untested.text == "– (n = 0, 1 without score)"
    everything = str(score_table(table)) + str(detail_table(compare([record(None)])[0]))
    assert "0.99" not in everything


def test_a_cell_says_how_many_of_its_runs_have_no_score() -> None:
    (table,) = result_tables([record(0.5, seed=0), record(None, seed=1)])
    assert table.rows[0].cells[0].text == "0.500 (n = 1, 1 without score)"


def test_a_cell_without_runs_has_n_0() -> None:
    (table,) = result_tables([record(0.5), record(0.6, method="other", fraction=100)])
    assert [cell.text for cell in table.rows[0].cells] == ["– (n = 0)", "0.600 (n = 1)"]


def test_a_table_with_more_dashes_than_scores_counts_the_seeds_of_its_scores() -> None:
    methods = [("dedl", 10.0), ("dedl", 100.0), ("picie", 10.0), ("mdc", 10.0), ("otsu", 10.0)]
    runs = [record(0.6, method=m, fraction=f, seed=s, task="segmentation") for m, f in methods for s in (0, 1)]
    (comparison,) = compare(runs)
    result = result_table(comparison, metric_of("segmentation"))
    table = counted_once(score_table(result))
    assert table.caption.endswith("n = 2.")
    assert {cell.details for row in table.rows for cell in row.cells[1:] if cell.missing} == {()}
    assert sum(cell.missing for row in table.rows for cell in row.cells[1:]) == 3


def test_of_one_seed_run_twice_the_latest_counts_and_a_note_says_so() -> None:
    runs = [record(0.9, finished="2025-01-01T00:00:00Z"), record(0.3, finished="2025-01-03T00:00:00Z")]
    for order in (runs, runs[::-1]):
        assert result_tables(order)[0].rows[0].cells[0].text == "0.300 (n = 1)"
    assert comparison_warnings(runs) == [
        "lesions, multiclass, transfer · resnet10, 10 %, seed 0: 2 runs; only the last finished one is included"
    ]


def test_runs_on_different_contents_of_a_data_set_are_doubted() -> None:
    (note,) = comparison_warnings([record(seed=0, data_hash="a" * 16), record(seed=1, data_hash="b" * 16)])
    assert "2 different data hashes" in note
    assert "aaaaaaaa, bbbbbbbb" in note
    assert comparison_warnings(study()) == []


def test_columns_say_how_many_images_are_labelled() -> None:
    runs = [record(seed=seed) for seed in (0, 1)]
    labels = runs[1].labels.model_copy(update={"train_labelled": 46})
    (table,) = result_tables([runs[0], runs[1].model_copy(update={"labels": labels})])
    assert table.columns[0].labelled == "46–48"
    columns = [column.plain for column in score_table(table).columns]
    assert columns == ["Technique (backbone)", "10 % (46–48 labelled)"]


def test_the_majority_row_stands_under_macro_f1_alone() -> None:
    last = score_table(result_tables([record()])[0]).rows[-1]
    assert (last.kind, last.cells[0].text) == ("reference", MAJORITY)
    assert result_tables([record()], classification="recall_macro")[0].reference is None
    assert result_tables([record(task="segmentation")])[0].reference is None


def test_the_table_marks_the_best_and_says_so() -> None:
    table = score_table(result_tables(study())[0])
    assert {len(row.cells) for row in table.rows} == {3}
    assert [row.cells[0].plain for row in table.rows if row.cells[1].emphasis] == ["CASS (resnet10)"]
    assert "Bold: best per column" in table.caption
    assert "Bold" not in score_table(result_tables([record()])[0]).caption, "a single technique has no best"


def test_an_undefined_score_leaves_its_cell_and_no_other() -> None:
    run = record(0.5)
    test = run.test.model_copy(update={"auroc": None})
    detail = detail_table(compare([run.model_copy(update={"test": test})])[0])
    texts = {column.title: cell.plain for column, cell in zip(detail.columns, detail.rows[0].cells, strict=True)}
    assert texts["AUROC"] == "– (n = 0, 1 without score)"
    assert texts["Macro F1"] == "0.500 (n = 1)"


def test_costs_are_means_over_seeds_beside_the_score() -> None:
    (comparison,) = compare([record(0.5, seed=0, seconds=100), record(None, seed=1, seconds=300)])
    (row,) = cost_rows(comparison, metric_of("multiclass"))
    assert row.seconds == 200
    assert row.score.text == "0.500 (n = 1, 1 without score)"


def with_energy(run: RunRecord, energy: float | None) -> RunRecord:
    of = "" if energy is None else "processor"
    return run.model_copy(update={"cost": run.cost.model_copy(update={"energy_wh": energy, "energy_of": of})})


def test_energy_is_a_mean_only_where_every_run_measured_it() -> None:
    runs = [with_energy(record(seed=0), 2.0), with_energy(record(seed=1), 4.0)]
    (row,) = cost_rows(compare(runs)[0], metric_of("multiclass"))
    assert (row.energy_wh, row.energy_of) == (3.0, "processor")
    assert "hardware counters (processor)" in energy_note([row])
    (part,) = cost_rows(compare([runs[0], record(seed=1)])[0], metric_of("multiclass"))
    assert part.energy_wh is None
    assert energy_note([part]) == NOT_MEASURED
    assert "A dash: not measured in every run" in energy_note([row, part])


def test_the_table_of_costs_has_energy_only_where_it_was_measured() -> None:
    measured = compare([with_energy(record(seed=0), 1.25), record(seed=0, method="other")])[0]
    table = cost_table(measured, metric_of("multiclass"))
    energy = [column.plain for column in table.columns].index("Energy (Wh)")
    assert [row.cells[energy].plain for row in table.rows] == ["–", "1.25 (processor)"]
    bare = cost_table(compare([record()])[0], metric_of("multiclass"))
    assert "Energy (Wh)" not in [column.plain for column in bare.columns]
    assert NOT_MEASURED in bare.caption


def test_backbones_that_techniques_share_have_a_best_each_and_stand_together() -> None:
    scores = {("cass", "cnn"): 0.5, ("cass", "vit"): 0.9, ("dino", "cnn"): 0.6, ("dino", "vit"): 0.8}
    (table,) = result_tables([record(s, method=m, backbone=b) for (m, b), s in scores.items()])
    assert table.by_backbone
    marked = [(row.technique.backbone, row.technique.method, row.cells[0].best) for row in table.rows]
    assert marked == [("cnn", "cass", False), ("cnn", "dino", True), ("vit", "cass", True), ("vit", "dino", False)]
    assert [row.kind for row in score_table(table).rows] == ["", "", "block", "", "reference"]
    assert "best per column and backbone" in score_table(table).caption


def test_backbones_of_one_technique_each_are_compared_with_each_other() -> None:
    (table,) = result_tables([record(0.5, method="a", backbone="x"), record(0.6, method="b", backbone="y")])
    assert not table.by_backbone
    assert [row.cells[0].best for row in table.rows] == [False, True]


def test_an_unknown_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(S4miError, match="did you mean 'recall_macro'"):
        result_tables([record()], classification="recal_macro")


def test_every_metric_of_a_task_has_a_table() -> None:
    for comparison in compare(study()):
        for name in ("iou", "hd95") if comparison.task == "segmentation" else ("auroc", "f1_micro"):
            assert result_table(comparison, metric_of(comparison.task, name)).rows[0].cells[0].interval is not None


def test_a_score_that_is_no_number_is_missing_and_ends_no_report() -> None:
    broken = record(0.6, seed=1)
    assert broken.test is not None
    test = broken.test.model_copy(update={"f1_macro": math.nan, "calibration_error": math.nan, "auroc": math.inf})
    runs = [record(0.6), broken.model_copy(update={"test": test}), record(0.62, seed=2)]
    (comparison,) = compare(runs)
    (cell,) = result_table(comparison, metric_of("multiclass")).rows[0].cells
    assert (cell.interval.mean, cell.count) == (pytest.approx(0.61), "n = 2, 1 without score")
    (row,) = detail_table(comparison).rows
    assert row.cells[2].details[0] == "n = 2, 1 without score"
