"""A report names an amount of labels as it was given: '5 patients' is not shown as the share it happened to be."""

import pytest

from made_records import epochs, record
from s4mi.records import RunRecord
from s4mi.reporting.figures.results import learning_curves
from s4mi.reporting.results.comparison import compare, comparison_warnings
from s4mi.reporting.results.label_names import LabelColumn, amount_in_words, amount_name, amount_of, asked_count
from s4mi.reporting.results.run_tables import run_table
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.tables import result_tables, score_table


def asking(asked: str, *, fraction: float, seed: int = 0, score: float = 0.6, **others: str) -> RunRecord:
    made = record(score, fraction=fraction, seed=seed, **others)  # type: ignore[arg-type]
    return made.model_copy(update={"labels_asked": asked})


FEW = [asking("5 patients", fraction=share, seed=seed) for seed, share in enumerate((10.0, 14.6))]
"""Patients have different numbers of images, so that the share is another one with each seed."""
MORE = [asking("50 images", fraction=40.0, seed=seed, score=0.7) for seed in (0, 1)]
ALL = [asking("100 %", fraction=100.0, seed=seed, score=0.8) for seed in (0, 1)]


def test_columns_are_named_as_the_amounts_were_given() -> None:
    (table,) = result_tables([*FEW, *MORE, *ALL])
    assert [column.title for column in table.columns] == ["5 patients (12.3 %)", "50 images (40 %)", "100 %"]
    assert [column.short for column in table.columns] == ["5 patients", "50 images", "100 %"]
    headings = [column.plain for column in score_table(table).columns]
    assert headings[1:] == [
        "5 patients (12.3 %, 48–70 labelled)", "50 images (40 %, 192 labelled)", "100 % (480 labelled)",
    ]  # fmt: skip


def test_a_number_of_images_is_not_said_twice() -> None:
    (column,) = result_tables([asking("48 images", fraction=10.0)])[0].columns
    assert column.heading.plain == "48 images (10 %)"
    assert column.with_images == "48 images (10 % of the labels)"


def test_one_image_is_not_said_twice_either() -> None:
    column = LabelColumn(0.2, 1, 1, "1 image")
    assert column.heading.plain == "1 image (0.2 %)"
    assert column.with_images == "1 image (0.2 % of the labels)"


def test_a_warning_names_the_amount_of_runs_that_are_there_twice() -> None:
    twice = [asking("5 patients", fraction=14.6), asking("5 patients", fraction=14.6)]
    assert any("5 patients (14.6 %), seed 0: 2 runs" in line for line in comparison_warnings(twice))


def test_a_sentence_names_them_so() -> None:
    column = result_tables(FEW)[0].columns[0]
    assert column.with_images == "5 patients (12.3 % of the labels, 48–70 images)"
    assert LabelColumn(10.0, 48, 48).with_images == "10 % of the labels (48 images)"
    assert (column.in_words, LabelColumn(10.0, 48, 48).in_words) == (
        "5 patients (12.3 % of the labels)", "10 % of the labels",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "name"),
    [("", "10 %"), ("10 %", "10 %"), ("1 patient", "1 patient (10 %)"), ("48 images", "48 images (10 %)")],
)
def test_the_amount_of_one_run(asked: str, name: str) -> None:
    assert amount_of(asking(asked, fraction=10.0)) == name
    assert amount_name(asked_count([asking(asked, fraction=10.0)]), 10.0) == name
    assert amount_in_words("", 10.0) == "10 % of the labels"


def test_runs_of_one_share_that_asked_differently_have_the_share() -> None:
    runs = [asking("10 %", fraction=10.0), asking("48 images", fraction=10.0, seed=1)]
    assert asked_count(runs) == ""
    assert [column.title for column in result_tables(runs)[0].columns] == ["10 %"]


def test_the_table_of_runs_has_the_share_of_each() -> None:
    table = run_table([ReportRun(one, (), "", f"run{one.seed}") for one in FEW])
    assert table is not None
    assert [row.cells[3].text for row in table.rows] == ["5 patients (10 %)", "5 patients (14.6 %)"]


def test_learning_curves_are_drawn_of_all_seeds() -> None:
    runs = [ReportRun(one, epochs(), "", f"run{one.seed}") for one in (*FEW, *ALL)]
    (comparison,) = compare([run.record for run in runs])
    drawn = learning_curves(comparison, runs)
    assert drawn is not None
    assert "Learning curves of 4 runs" in drawn
