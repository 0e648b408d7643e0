"""Every class by itself: the leading score of each, for every technique and label fraction."""

from dataclasses import dataclass
from functools import partial

from s4mi.report.results.comparison import Comparison, Technique, interval_over
from s4mi.report.results.scores import Metric, class_value
from s4mi.report.results.tables import Cell, Column, columns_of


@dataclass(frozen=True)
class ClassColumn:
    """A class, and how much of it the test images show: images, or pixels in segmentation."""

    name: str
    support: str


@dataclass(frozen=True)
class ClassRow:
    technique: Technique
    column: Column
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ClassTable:
    """The score of each class on test. `unit` is what the support counts; `score` what is shown, such as F1."""

    score: str
    unit: str
    classes: tuple[ClassColumn, ...]
    rows: tuple[ClassRow, ...]


def class_table(comparison: Comparison, metric: Metric) -> ClassTable | None:
    """The classes that some run has a score of; None with fewer than two, as the leading score says it all then."""
    tested = [record for record in comparison.records if record.test is not None]
    names = [
        name
        for name in comparison.records[0].classes
        if any(class_value(record, metric, class_name=name) is not None for record in tested)
    ]
    if len(names) < 2:
        return None
    rows = []
    for technique in comparison.techniques:
        for column in columns_of(comparison):
            if not (records := comparison.at(technique, column.fraction)):
                continue
            intervals = [interval_over(records, partial(class_value, metric=metric, class_name=name)) for name in names]
            cells = tuple(Cell.of(interval, len(records), metric) for interval in intervals)
            rows.append(ClassRow(technique, column, cells))
    return ClassTable(
        score=class_score_name(metric),
        unit="pixels" if comparison.task == "segmentation" else "images",
        classes=tuple(ClassColumn(name, _support(comparison, name)) for name in names),
        rows=tuple(rows),
    )


def class_score_name(metric: Metric) -> str:
    """What a score of all classes is called for one of them: F1 for macro F1."""
    return metric.per_class.upper() if metric.per_class == "f1" else metric.label.removeprefix("macro ")


def _support(comparison: Comparison, name: str) -> str:
    tests = [record.test for record in comparison.records if record.test is not None]
    counts = [test.per_class[name].support for test in tests if name in test.per_class] or [0]
    return "–".join(
        f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") for count in sorted({min(counts), max(counts)})
    )
