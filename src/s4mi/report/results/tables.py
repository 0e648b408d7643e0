"""Result tables in the shape of the paper's Table 1, from run records alone.

Techniques × backbones down, label fractions across, mean ± half the confidence interval over seeds, best mean of a
column marked; where several backbones are shared by several techniques each has its best, as in the paper. A score
that was not measured on the test part is a dash, never a validation score.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s4mi.maths.stats import Interval
from s4mi.records import RunRecord, TaskKind
from s4mi.report.results.comparison import Comparison, Technique, compare
from s4mi.report.results.scores import MISSING, TASK_NAMES, Metric, metric_of, metrics_of, percent, plus_minus

MAJORITY = "majority answer"
DETAIL = {
    "classification": ("f1_macro", "recall_macro", "balanced_accuracy", "auroc", "calibration_error"),
    "segmentation": ("iou", "dice", "hd95", "assd"),
}


@dataclass(frozen=True)
class Cell:
    """One technique at one label fraction.

    Attributes:
        interval: over the seeds that have the score; None where none has.
        runs: finished runs of the cell, with or without the score.
        best: the best mean of its column, in a column where something can be compared.
    """

    interval: Interval | None
    runs: int
    digits: int = 3
    best: bool = False
    bounded: bool = True

    @classmethod
    def of(cls, interval: Interval | None, runs: int, metric: Metric, *, best: bool = False) -> "Cell":
        """As `metric` is printed."""
        return cls(interval, runs, digits=metric.digits, best=best, bounded=metric.bounded)

    @property
    def value(self) -> str:
        """`0.612 ± 0.034`; one seed has no ±, no score is a dash, an interval that says nothing `± > 0.5`."""
        if self.interval is None:
            return MISSING
        half = plus_minus(self.interval.half_width, digits=self.digits, bounded=self.bounded)
        return f"{self.interval.mean:.{self.digits}f}{half}"

    @property
    def count(self) -> str:
        """`n = 2`, and how many finished runs have no such score."""
        n = self.interval.n if self.interval else 0
        return f"n = {n}" if n == self.runs else f"n = {n}, {self.runs - n} without score"

    @property
    def text(self) -> str:
        return f"{self.value} ({self.count})"


@dataclass(frozen=True)
class Column:
    """A label fraction in percent, and how many labelled training images it stands for."""

    fraction: float
    fewest: int
    most: int

    @property
    def title(self) -> str:
        return percent(self.fraction)

    @property
    def labelled(self) -> str:
        return span([self.fewest, self.most])


@dataclass(frozen=True)
class Row:
    technique: Technique
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ResultTable:
    """One metric of one data set and task.

    Attributes:
        reference: what the most frequent answer scores, where known.
        by_backbone: rows are sorted by backbone, and the best mean is marked within each.
    """

    dataset: str
    task: TaskKind
    metric: Metric
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    reference: tuple[Cell, ...] | None = None
    by_backbone: bool = False

    @property
    def title(self) -> str:
        return f"{self.dataset}, {TASK_NAMES[self.task]}: {self.metric.label} on the test images"


@dataclass(frozen=True)
class DetailRow:
    technique: Technique
    column: Column
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class DetailTable:
    """Several metrics of one data set and task, a row per technique and label fraction."""

    metrics: tuple[Metric, ...]
    rows: tuple[DetailRow, ...]


def result_tables(
    records: Sequence[RunRecord], *, classification: str | None = None, segmentation: str | None = None
) -> tuple[ResultTable, ...]:
    """One table per data set and task, whatever the order of the records.

    Args:
        classification: metric of the classification tables; macro F1 when None.
        segmentation: metric of the segmentation tables; IoU when None.

    Raises:
        S4miError: there is no metric of that name.
    """
    chosen = {"multiclass": classification, "multilabel": classification, "segmentation": segmentation}
    return tuple(
        result_table(comparison, metric_of(comparison.task, chosen[comparison.task])) for comparison in compare(records)
    )


def result_table(comparison: Comparison, metric: Metric) -> ResultTable:
    """The table of one comparison and metric, its best cells marked."""
    by_backbone = _shared_backbones(comparison) > 1
    techniques = sorted(comparison.techniques, key=lambda one: (by_backbone and one.backbone, one))
    rows = []
    for technique in techniques:
        rivals = [one for one in techniques if not by_backbone or one.backbone == technique.backbone]
        cells = []
        for fraction in comparison.fractions:
            interval = comparison.interval(technique, fraction, metric)
            runs = len(comparison.at(technique, fraction))
            is_best = interval is not None and interval.mean == _best_mean(comparison, rivals, fraction, metric)
            cells.append(Cell.of(interval, runs, metric, best=is_best))
        rows.append(Row(technique, tuple(cells)))
    return ResultTable(
        dataset=comparison.dataset,
        task=comparison.task,
        metric=metric,
        columns=columns_of(comparison),
        rows=tuple(rows),
        reference=_reference(comparison, metric),
        by_backbone=by_backbone,
    )


def columns_of(comparison: Comparison) -> tuple[Column, ...]:
    """The label fractions of a comparison, smallest first."""
    return tuple(Column(fraction, *comparison.labelled(fraction)) for fraction in comparison.fractions)


def detail_table(comparison: Comparison) -> DetailTable:
    """The scores that stand beside the leading one: AUROC, balanced accuracy, Dice, surface distances."""
    family = "segmentation" if comparison.task == "segmentation" else "classification"
    metrics = tuple(metric for metric in metrics_of(comparison.task) if metric.name in DETAIL[family])
    rows = []
    for technique in comparison.techniques:
        for column in columns_of(comparison):
            if not (records := comparison.at(technique, column.fraction)):
                continue
            intervals = [comparison.interval(technique, column.fraction, metric) for metric in metrics]
            cells = (Cell.of(i, len(records), m) for i, m in zip(intervals, metrics, strict=True))
            rows.append(DetailRow(technique, column, tuple(cells)))
    return DetailTable(metrics, tuple(rows))


def span(counts: Sequence[int]) -> str:
    """`48`, or `46–48` where seeds differ."""
    fewest, most = min(counts), max(counts)
    return f"{fewest}" if fewest == most else f"{fewest}–{most}"


def text_rows(table: ResultTable, *, best: Callable[[str], str] = "{} *".format) -> list[list[str]]:
    """The table as text, header first, one list per row; `best` marks the best cell of a column."""
    header = ["technique", "backbone"]
    header += [f"{column.title} ({column.labelled} labelled)" for column in table.columns]
    lines = [header]
    for row in table.rows:
        cells = [best(cell.text) if cell.best else cell.text for cell in row.cells]
        lines.append([row.technique.method, row.technique.backbone, *cells])
    if table.reference:
        lines.append([MAJORITY, "", *(cell.text for cell in table.reference)])
    return lines


def _shared_backbones(comparison: Comparison) -> int:
    """Backbones on which several techniques were tested."""
    counts = Counter(technique.backbone for technique in comparison.techniques)
    return sum(count > 1 for count in counts.values())


def _best_mean(
    comparison: Comparison, techniques: Sequence[Technique], fraction: float, metric: Metric
) -> float | None:
    """The best mean among these; None where fewer than two were tested: alone is not best."""
    intervals = (comparison.interval(technique, fraction, metric) for technique in techniques)
    means = [interval.mean for interval in intervals if interval is not None]
    if len(means) < 2:
        return None
    return max(means) if metric.higher_is_better else min(means)


def _reference(comparison: Comparison, metric: Metric) -> tuple[Cell, ...] | None:
    intervals = [comparison.majority(fraction, metric) for fraction in comparison.fractions]
    if not any(intervals):
        return None
    return tuple(Cell.of(i, i.n if i else 0, metric) for i in intervals)
