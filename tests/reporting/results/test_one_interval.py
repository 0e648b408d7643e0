"""One score has one interval on a page; equal scores have none; captions name the test whose p they print."""

from dataclasses import replace

import numpy as np
import pytest

from made_data import facts
from made_records import record
from s4mi.maths.stats import mean_interval
from s4mi.records import ImageScores
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import percent, spread
from s4mi.reporting.writers.contents import report_contents


def segmented(method: str, seed: int) -> ReportRun:
    """A run with the IoU of six test patients, who differ more than the seeds do."""
    values = np.linspace(0.4, 0.8, 6) + 0.01 * seed + (0.05 if method == "dedl" else 0)
    images = tuple(
        ImageScores(image=f"i{n}", group=f"p{n}", iou={"lesion": v}, dice={"lesion": v}, hd95={}, assd={})
        for n, v in enumerate(values.tolist())
    )
    about = record(float(values.mean()), task="segmentation", method=method, seed=seed)
    return ReportRun(about, (), "", f"{method}{seed}", images=images)


def test_every_table_of_a_page_prints_the_same_interval_of_a_score() -> None:
    runs = [segmented(method, seed) for method in ("dedl", "picie") for seed in range(3)]
    (dataset,) = report_contents(runs, title="").datasets
    (task,) = dataset.tasks
    printed = {row.cells[0].text: row.cells[1].text for row in task.scores.rows[:2]}
    assert len(printed) == 2
    for table, place in ((task.costs, 2), (task.label_counts, 5)):
        assert {row.cells[0].text: row.cells[place].text for row in table.rows} == printed
    alone = mean_interval([0.61, 0.62, 0.63]).half_width
    assert all("±" not in text or float(text.split("±")[1]) > 2 * alone for text in printed.values())


def test_the_effect_of_new_annotations_has_the_intervals_of_the_scores() -> None:
    runs = []
    for version in (1, 2):
        for seed in range(3):
            run = segmented("dedl" if version == 2 else "picie", seed)
            name = "lesions" if version == 1 else "lesions, version 2"
            about = run.record.model_copy(update={"method": "dedl", "dataset": name, "config_hash": f"{seed}"})
            about = about.model_copy(update={"data": facts(about, test="t").model_copy(update={"version": version})})
            runs.append(replace(run, record=about, directory=f"{version}-{seed}"))
    old, new = report_contents(runs, title="").datasets
    table = new.tasks[0].new_annotations
    assert table is not None
    printed = [section.tasks[0].scores.rows[0].cells[1].text for section in (old, new)]
    assert [cell.text for cell in table.rows[0].cells[2:4]] == printed
    assert all("±" in text or "(" in text for text in printed)


def test_the_caption_of_paired_tests_counts_the_patients_that_its_p_counts() -> None:
    runs = [segmented(method, seed) for method in ("dedl", "picie") for seed in range(3)]
    (task,) = report_contents(runs, title="").datasets[0].tasks
    assert task.paired is not None
    assert "both over n seeds together with the test patients that they share" in task.paired.caption


def test_equal_scores_have_no_interval() -> None:
    assert spread(mean_interval([0.25, 0.25, 0.25]), digits=3) == ""
    assert spread(mean_interval([0.25, 0.26, 0.25]), digits=3).startswith(" ± 0.0")


@pytest.mark.parametrize(
    ("fraction", "text"), [(10, "10 %"), (12.5, "12.5 %"), (100 * 5 / 23, "21.74 %"), (0.1, "0.1 %")]
)
def test_a_fraction_is_printed_with_four_digits_at_most(fraction: float, text: str) -> None:
    assert percent(fraction) == text
