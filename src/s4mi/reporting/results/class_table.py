"""Scores per class: the leading score of each class, for every technique and label fraction."""

from functools import partial

from s4mi.reporting.results.comparison import Comparison, interval_over
from s4mi.reporting.results.scores import Metric, class_value
from s4mi.reporting.results.table_model import Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, MEAN, SEEDS_ONLY, TECHNIQUE, MeanScore, runs_by_cell, technique_cell


def class_table(comparison: Comparison, metric: Metric) -> Table | None:
    """The table of the classes that some run has a score for; None with fewer than two classes.

    Below each class stands its support in the test images: images, or pixels in segmentation.
    """
    tested = [record for record in comparison.records if record.test is not None]
    names = [
        name
        for name in comparison.records[0].classes
        if any(class_value(record, metric, class_name=name) is not None for record in tested)
    ]
    if len(names) < 2:
        return None
    rows = []
    for technique, column, records in runs_by_cell(comparison):
        intervals = [
            interval_over(records, partial(class_value, metric=metric, class_name=name), limits=metric.limits)
            for name in names
        ]
        scores = (MeanScore.of(interval, len(records), metric).cell for interval in intervals)
        rows.append(table_row(technique_cell(technique), column.title, *scores))
    unit = "test pixels" if comparison.task == "segmentation" else "test images"
    return Table(
        title=f"Test {class_score_name(metric)} per class",
        subject=comparison.title,
        columns=(TECHNIQUE, LABELS, *(Column(name, f"{_support(comparison, name)} {unit}") for name in names)),
        rows=tuple(rows),
        caption=f"{MEAN} {SEEDS_ONLY}",
    )


def class_score_name(metric: Metric) -> str:
    """Name of a score for a single class: F1 for macro F1."""
    return metric.per_class.upper() if metric.per_class == "f1" else metric.label.removeprefix("macro ")


def _support(comparison: Comparison, name: str) -> str:
    tests = [record.test for record in comparison.records if record.test is not None]
    counts = [test.per_class[name].support for test in tests if name in test.per_class] or [0]
    return "–".join(
        f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") for count in sorted({min(counts), max(counts)})
    )
