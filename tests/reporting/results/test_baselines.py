"""What a technique has to beat: always the majority class, or, where an image may have several, every class."""

import json
from pathlib import Path

import pytest

from made_records import record
from s4mi.records import RunRecord, read_record
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.findings import baseline_caveat, rank
from s4mi.reporting.results.scores import baseline_value, majority_value, metric_of
from s4mi.reporting.results.tables import result_tables, score_table
from s4mi.reporting.writers.csv import summary_csv

F1 = metric_of("multilabel")


def by_hand(run: RunRecord) -> float:
    """2p / (1 + p) of the share p of each class, from the counts of the record."""
    assert run.test is not None
    assert run.test.kind == "classification"
    shares = [(fn + tp) / (tn + fp + fn + tp) for tn, fp, fn, tp in run.test.confusion]
    return sum(2 * p / (1 + p) for p in shares) / len(shares)


def test_the_table_of_a_multilabel_task_ends_with_the_all_positive_baseline() -> None:
    run = record(0.6, task="multilabel")
    (table,) = result_tables([run])
    last = score_table(table).rows[-1]
    assert last.kind == "reference"
    assert [cell.text for cell in last.cells] == ["all-positive baseline", f"{by_hand(run):.3f}"]
    assert ",f1_macro,,all-positive baseline," in summary_csv([run], ())
    assert result_tables([run], classification="auroc")[0].reference is None


@pytest.mark.parametrize("above", [-0.01, 0.01])
def test_a_technique_is_compared_with_it(above: float) -> None:
    run = record(0.6, task="multilabel")
    assert run.test is not None
    run = run.model_copy(update={"test": run.test.model_copy(update={"f1_macro": by_hand(run) + above})})
    ranking = rank(result_tables([run])[0], 0)
    assert ranking is not None
    assert baseline_caveat(ranking) == ("" if above > 0 else ", no better than the all-positive baseline")


def test_a_record_of_an_older_version_has_it_too(tmp_path: Path) -> None:
    run = record(0.6, task="multilabel")
    contents = json.loads(run.model_dump_json())
    contents["test"]["majority_f1_macro"] = 0.0  # what is recorded where no class is on most images
    (tmp_path / "record.json").write_text(json.dumps(contents))
    old = read_record(tmp_path)
    assert majority_value(old, F1) == 0
    assert baseline_value(old, F1) == pytest.approx(by_hand(run))
    assert baseline_value(old, metric_of("multilabel", "auroc")) is None


def test_with_four_classes_of_one_per_image_it_is_still_the_majority() -> None:
    run = record(0.6, classes=("a", "b", "c", "d"))  # rows of four counts, which are no TN, FP, FN, TP
    (comparison,) = compare([run])
    baseline = comparison.baseline(10.0, metric_of("multiclass"))
    assert baseline is not None
    assert baseline.mean == 0.2
