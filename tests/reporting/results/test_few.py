"""Intervals of few seeds or patients say so wherever a report prints them, in the same words."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from made_records import record
from s4mi.records import ImageScores
from s4mi.reporting.results.few import few_meaning
from s4mi.reporting.results.patients import run_over_patients
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.writers.contents import ReportContents, report_contents
from s4mi.reporting.writers.csv import summary_csv
from s4mi.reporting.writers.html import write_report
from s4mi.reporting.writers.markdown_latex import to_latex, to_markdown
from s4mi.reporting.writers.templates import environment

IOU = metric_of("segmentation")
TABLES = (
    "Test IoU by label fraction",
    "Further test scores",
    "Scores per patient",
    "Paired comparisons",
    "What more masks bring",
)


def study(*, patients: int, seeds: int, known: bool = True) -> list[ReportRun]:
    """Two techniques at two label fractions, with the IoU of two images of each patient, alike for all seeds."""
    rng, made = np.random.default_rng(0), []
    easy = np.repeat(rng.uniform(-0.1, 0.1, patients), 2)
    for method, score in (("good", 0.8), ("poor", 0.6)):
        for fraction in (10.0, 50.0):
            for seed in range(seeds):
                values = score + fraction / 1000 + easy + rng.normal(0, 0.02) + rng.normal(0, 0.02, 2 * patients)
                images = tuple(
                    ImageScores(
                        image=f"i{n}", group=f"p{n // 2}" if known else None,
                        iou={"lesion": v}, dice={"lesion": v}, hd95={}, assd={},
                    )
                    for n, v in enumerate(values.tolist())
                )  # fmt: skip
                one = record(float(values.mean()), task="segmentation", method=method, fraction=fraction, seed=seed)
                made.append(ReportRun(one, (), "", f"{method}{fraction:g}-{seed}", images))
    return made


def report(**about) -> ReportContents:
    return report_contents(study(**about), title="A study")


def words(contents: ReportContents) -> dict[str, set[str]]:
    """By title of a table, what its cells say of few seeds, patients or images."""
    return {
        table.title: {d for row in table.rows for cell in row.cells for d in cell.details if d.startswith("few ")}
        for table in contents.tables
    }


def test_five_patients_are_called_few_and_sixty_are_not() -> None:
    few, many = report(patients=5, seeds=6), report(patients=60, seeds=6)
    for title in TABLES:
        assert words(few)[title] == {"few patients"}, title
        assert words(many)[title] == set(), title
    for contents, count in ((few, 1), (many, 0)):
        for table in contents.tables:
            assert table.caption.count("Few patients: fewer than") == count * (table.title in TABLES), table.title


def test_four_seeds_are_called_few_in_tables_cards_and_sentences() -> None:
    contents = report(patients=60, seeds=4)
    assert words(contents)["Test IoU by label fraction"] == {"few seeds"}
    assert words(contents)["Scores per patient"] == set()
    (card,) = contents.cards
    assert "over seeds and the test patients they share, widened (few seeds)" in card.facts
    assert "widened" not in report(patients=60, seeds=6).cards[0].facts
    findings = " ".join(contents.datasets[0].tasks[0].findings)
    assert "(n = 4 seeds, few seeds)" in findings
    assert "few" not in " ".join(report(patients=60, seeds=6).datasets[0].tasks[0].findings).replace("Few labels", "")


def test_every_writer_says_it_as_often(tmp_path: Path) -> None:
    runs = study(patients=5, seeds=6)
    contents = report_contents(runs, title="A study")
    cells = [cell for table in contents.tables for row in table.rows for cell in row.cells]
    said = sum(detail == "few patients" for cell in cells for detail in cell.details)
    assert said >= 4 * len(TABLES) - 4
    assert len(re.findall(r"\| [^|]*few patients\)[^|]*", to_markdown(contents))) == said
    latex = "\n".join(line for line in to_latex(contents).splitlines() if not line.startswith("%"))
    assert latex.count("few patients") == said
    page = write_report(runs, tmp_path / "report.html", title="A study").read_text(encoding="utf-8")
    assert page.count("<small>few patients</small>") == said
    rows = list(csv.DictReader(io.StringIO(summary_csv([run.record for run in runs], runs))))
    few = {(row["metric"], row["class"]): row["few"] for row in rows if row["method"] == "good"}
    assert few["iou", ""] == "few patients"
    assert few["pixel_accuracy", ""] == "", "judged over seeds alone"


def test_the_csv_has_the_intervals_of_the_report() -> None:
    runs = study(patients=5, seeds=6)
    rows = list(csv.DictReader(io.StringIO(summary_csv([run.record for run in runs], runs))))
    cell = report(patients=5, seeds=6).datasets[0].tasks[0].results.rows[0].cells[0]
    row = next(
        r for r in rows if (r["metric"], r["class"], r["method"], r["label_fraction"]) == ("iou", "", "good", "10")
    )
    assert cell.interval is not None
    assert (float(row["low"]), float(row["high"])) == (cell.interval.low, cell.interval.high)


@pytest.mark.parametrize(("known", "unit"), [(True, "patients"), (False, "images")])
def test_where_no_patient_is_known_images_are_few(known: bool, unit: str) -> None:
    run = study(patients=4, seeds=1, known=known)[0]
    score = run_over_patients(run, IOU)
    text = environment().filters["with_interval"](score, IOU)
    assert text.endswith(f"over n = {4 if known else 8} {unit}, few {unit}")
    assert few_meaning(f"few {unit}").startswith(f"Few {unit}: fewer than 40 behind a score, 20 behind a difference ")
