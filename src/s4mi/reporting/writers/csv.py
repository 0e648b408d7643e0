"""A report as CSV for a program: mean scores with intervals, and every score of every run.

    NAME.csv        means and intervals: each score, and each class of it
    NAME-runs.csv   a row per run, part of the split, score and class, with seed, hashes and cost

Numbers have full precision; a missing value is an empty field.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from s4mi.maths.stats import Interval
from s4mi.records import RunRecord, Scores, write_text_atomically
from s4mi.reporting.results.comparison import Comparison, Technique, compare, interval_over, technique_of
from s4mi.reporting.results.few import few_words
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import Metric, baseline_name, class_value, metrics_of
from s4mi.reporting.results.table_model import Column, Row, Table, table_row
from s4mi.reporting.results.tables import result_table, runs_by_cell

COUNTED = {False: "training", True: "training and validation"}
SUMMARY = (
    *("dataset", "task", "metric", "class", "method", "backbone", "label_fraction", "labelled_fewest"),
    *("labelled_most", "n", "mean", "low", "high", "best", "labels_counted", "few"),
)
RUNS = (
    *("run", "dataset", "synthetic", "task", "method", "backbone", "label_fraction", "labelled", "seed", "part"),
    *("metric", "class", "value", "best_epoch", "epochs", "steps", "restarts", "leaks", "seconds", "images_per_second"),
    *("peak_memory_mib", "energy_wh", "parameters", "device", "config_hash", "split_hash", "data_hash"),
    *("git_revision", "started", "finished", "labels", "labels_for_validation", "labels_counted", "selection"),
)
RUN_NAMES = (
    *("run", "dataset", "task", "method", "backbone", "part", "metric", "class", "device", "config_hash", "split_hash"),
    *("data_hash", "git_revision", "started", "finished", "labels_counted", "selection"),
)
"""Columns of `RUNS` that hold names, although a class may be called 0, and a hash look like a number."""


def table_csv(table: Table) -> str:
    """A table as CSV, without title and caption."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.plain for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if cell.missing and not cell.notes else cell.plain for cell in row.cells])
    return out.getvalue()


def write_csv(runs: Sequence[ReportRun], path: Path) -> tuple[Path, Path]:
    """Write the two files, atomically, and return their paths."""
    single = path.with_name(f"{path.stem}-runs{path.suffix}")
    write_text_atomically(path, summary_csv([run.record for run in runs], runs))
    write_text_atomically(single, runs_csv(runs))
    return path, single


def summary_csv(records: Sequence[RunRecord], runs: Sequence[ReportRun] = ()) -> str:
    """Every score of every technique and label fraction; `best` marks the best mean of a column of the result table.

    Args:
        runs: of the records; with their test patients, intervals are those of the report, over seeds and patients.
    """
    return table_csv(_table("Summary", SUMMARY, (row for each in compare(records) for row in _summary(each, runs))))


def runs_csv(runs: Sequence[ReportRun]) -> str:
    """Every score of every run, also of a run that a later one of the same seed has replaced in the summary."""
    ordered = sorted(runs, key=lambda run: run.directory)
    return table_csv(_table("Runs", RUNS, (row for run in ordered for row in _run(run))))


def _table(title: str, columns: Sequence[str], rows: Iterator[Row]) -> Table:
    return Table(title, "", tuple(map(Column, columns)), tuple(rows))


def _row(*values: object) -> Row:
    """Values at full precision; None is missing."""
    return table_row(*("" if value is None else f"{value}" for value in values))


def _number(value: float) -> str:
    """`10`, or a number with all its digits."""
    return f"{value:g}" if float(f"{value:g}") == value else f"{value}"


def _summary(comparison: Comparison, runs: Sequence[ReportRun]) -> Iterator[Row]:
    for metric in metrics_of(comparison.task):
        results = result_table(comparison, metric, runs)
        rows = [(row.technique, row.cells) for row in results.rows]
        if results.reference:
            rows.append((Technique(baseline_name(comparison.task), ""), results.reference))
        for technique, scores in rows:
            for column, score in zip(results.columns, scores, strict=True):
                yield _mean(comparison, (metric.name, ""), technique, column, score.interval, best=score.best)
    for metric in _once_per_class(comparison):
        for technique, column, records in runs_by_cell(comparison):
            for name in comparison.records[0].classes:
                interval = interval_over(
                    records, partial(class_value, metric=metric, class_name=name), limits=metric.limits
                )
                if interval is not None:
                    yield _mean(comparison, (metric.per_class, name), technique, column, interval)


def _mean(
    comparison: Comparison,
    score: tuple[str, str],
    technique: Technique,
    column: LabelColumn,
    interval: Interval | None,
    *,
    best: bool = False,
) -> Row:
    """A row of the summary; `score` is metric and class, empty for all classes."""
    numbers = (0, None, None, None) if interval is None else (interval.n, interval.mean, interval.low, interval.high)
    return _row(
        comparison.dataset, comparison.task, *score, technique.method, technique.backbone, _number(column.fraction),
        column.fewest, column.most, *numbers, int(best), COUNTED[comparison.records[0].labels.counted],
        few_words(interval),
    )  # fmt: skip


def _run(run: ReportRun) -> Iterator[Row]:
    record, technique = run.record, technique_of(run.record)
    head = [
        run.directory, record.dataset, int(record.synthetic), record.task, technique.method, technique.backbone,
        _number(record.label_fraction), record.labels.train_labelled, record.seed,
    ]  # fmt: skip
    cost = record.cost
    tail = [
        record.best_epoch, record.epochs, record.steps, record.restarts, record.leaks, cost.seconds,
        cost.images_per_second, cost.peak_memory_mib, cost.energy_wh, cost.parameters, cost.device, record.config_hash,
        record.split_hash, record.data_hash, record.git_revision, record.started, record.finished, record.labels.n,
        record.labels.read - record.labels.train_labelled, COUNTED[record.labels.counted],
        "validation" if record.selection is None else record.selection.used,
    ]  # fmt: skip
    parts: list[tuple[str, Scores | None]] = [
        ("val", record.val),
        ("test", record.test),
        ("last_test", record.last_test),
        *((f"external {name}", result.scores) for name, result in record.external.items()),
    ]
    values: list[tuple[object, ...]] = [(part, *one) for part, scores in parts for one in _values(record, scores)]
    for value in values or [("", "", "", None)]:  # a run without scores still has a row
        yield _row(*head, *value, *tail)


def _values(record: RunRecord, scores: Scores | None) -> Iterator[tuple[str, str, float]]:
    """Metric, class (empty: all) and value of every score there is."""
    if scores is None:
        return
    for metric in metrics_of(record.task):
        value = getattr(scores, metric.name, None)
        if value is not None:
            yield metric.name, "", float(value)
    for name, one in scores.per_class.items():
        for field, value in one.model_dump(exclude={"support"}).items():
            if value is not None:
                yield field, name, float(value)


def _once_per_class(comparison: Comparison) -> list[Metric]:
    """The metrics of single classes, each once, though several means may be made of it."""
    once = {metric.per_class: metric for metric in reversed(metrics_of(comparison.task))}
    return [metric for metric in metrics_of(comparison.task) if once[metric.per_class] is metric]
