"""What counts as labels is said in every table, and external scores stand beside internal ones."""

from pathlib import Path

import pytest

from made_data import knowing
from made_records import classification_scores, record, segmentation_scores
from s4mi.records import ExternalTest, RunRecord, Selection
from s4mi.records.reliability import Reliability
from s4mi.reporting.results.comparison import Comparison, compare
from s4mi.reporting.results.external_tables import external_tables
from s4mi.reporting.results.label_counting import COUNTED, counting, label_table
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.table_model import Table
from s4mi.reporting.writers.contents import report_contents
from s4mi.reporting.writers.html import write_report

METRIC = metric_of("multiclass")


def reliability(ece: float) -> Reliability:
    return Reliability(predictions=24, ece=ece + 0.1, ece_calibrated=ece, nll=0.9, nll_calibrated=0.7)


def external(score: float, **changes: object) -> ExternalTest:
    contents = {
        "dataset": "clinic", "synthetic": False, "images": 24, "classes": ["a", "b"], "data_hash": "x", "seconds": 1.0,
        "scores": classification_scores(score), "calibration": reliability(0.2), **changes,
    }  # fmt: skip
    return ExternalTest(**contents)  # type: ignore[arg-type]


def counted(one: RunRecord, *, validation: int, used: str = "validation", note: str = "") -> RunRecord:
    labels = one.labels.model_copy(update={"counted": True, "validation": validation, "val": validation})
    selection = Selection(asked="validation", used=used, labels=validation, note=note)  # type: ignore[arg-type]
    return one.model_copy(update={"labels": labels, "selection": selection, "calibration": reliability(0.05)})


def comparison(*records: RunRecord) -> Comparison:
    (one,) = compare(records)
    return one


def text(table: Table) -> list[list[str]]:
    return [[cell.plain for cell in row.cells] for row in table.rows]


def test_the_number_of_labels_has_those_that_were_chosen_with() -> None:
    one = comparison(*(counted(record(0.6, seed=seed), validation=7 + seed) for seed in (0, 1)))
    assert one.labelled(10.0) == (55, 56)
    assert counting(one.records) == COUNTED
    paper = comparison(*(record(0.6, seed=seed) for seed in (0, 1)))
    assert paper.labelled(10.0) == (48, 48)
    assert counting(paper.records) == "Labels counted: training only (the paper's way); 60 more for validation."


def test_the_cost_of_the_choice_is_shown() -> None:
    chosen = counted(record(0.6), validation=7)
    chosen = chosen.model_copy(update={"last_test": classification_scores(0.55)})
    fallen_back = counted(record(0.5, fraction=5.0), validation=0, used="last", note="too few to hold any out")
    fallen_back = fallen_back.model_copy(update={"best_epoch": 4})
    rows = text(label_table(comparison(chosen, fallen_back), METRIC))
    assert rows[0][1:5] == ["5 %", "24", "24", "nothing, last epoch (too few to hold any out)"]
    assert rows[0][5].startswith("0.500")
    assert rows[0][6].startswith("0.500")  # the last epoch is the chosen one
    assert rows[1][1:5] == ["10 %", "55", "48", "7 labels held out"]
    assert [cell[:5] for cell in rows[1][5:]] == ["0.600", "0.550"]


def test_older_runs_chose_on_the_validation_part() -> None:
    (row,) = text(label_table(comparison(record(0.6)), METRIC))
    assert row[4] == "60 labels of the validation part"


def test_external_scores_stand_beside_internal_ones_with_the_drop() -> None:
    records = [
        counted(record(0.8 + 0.02 * seed, seed=seed), validation=7).model_copy(
            update={"external": {"clinic_b": external(0.6 + 0.01 * seed)}}
        )
        for seed in (0, 1)
    ]
    (table,) = external_tables(comparison(*records), METRIC)
    assert table.title == "External test set clinic_b"
    (row,) = text(table)
    assert [cell[:5] for cell in row[2:5]] == ["0.810", "0.605", "0.205"]
    assert [cell[:5] for cell in row[5:]] == ["0.050", "0.200", "0.700", "0.700"]
    assert "clinic: 24 images." in table.caption


def test_what_an_external_set_lacks_is_said() -> None:
    notes = ["classes that the external set does not have, so that scores are of the others: nevus"]
    one = record(0.8).model_copy(update={"external": {"b": external(0.6, patients=9, synthetic=True, notes=notes)}})
    (table,) = external_tables(comparison(one), METRIC)
    assert "24 images of 9 patients, drawn by a program." in table.caption
    assert "Classes that the external set does not have" in table.caption


def test_runs_without_an_external_score_are_not_in_the_table() -> None:
    tested = record(0.8).model_copy(update={"external": {"b": external(0.6)}})
    (table,) = external_tables(comparison(tested, record(0.5, method="other")), METRIC)
    assert [row.cells[0].text for row in table.rows] == ["transfer"]
    assert external_tables(comparison(record(0.5)), METRIC) == ()


@pytest.mark.parametrize("way", ["paper", "counted"])
def test_every_table_of_a_report_says_what_counts(way: str, tmp_path: Path) -> None:
    records = [
        knowing(record(score + 0.01 * seed, method=name, seed=seed, fraction=fraction))
        for name, score in (("a", 0.7), ("b", 0.6))
        for seed in (0, 1)
        for fraction in (10.0, 100.0)
    ]
    masks = [record(0.7, seed=seed, task="segmentation") for seed in (0, 1)]
    masks[0] = masks[0].model_copy(update={"external": {"b": external(0.5, scores=segmentation_scores(0.5))}})
    records += masks
    if way == "counted":
        records = [counted(one, validation=5) for one in records]
    runs = [ReportRun(one, (), "", f"run{number}") for number, one in enumerate(records)]
    contents = report_contents(runs, title="t")
    said = (
        "Labels counted: training and validation." if way == "counted" else "Labels counted: training only (the paper"
    )
    tables = [table for dataset in contents.datasets for task in dataset.tasks for table in task.text.tables]
    assert len(tables) > 8
    assert [table.title for table in tables if table.caption.count(said) != 1] == []
    write_report(runs, tmp_path / "report.html", title="t")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("External test set b") >= 1
    assert "Labels and choice" in page
