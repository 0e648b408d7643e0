"""A report as CSV for a program: a summary with a row a cell and score, and every score of every run.

    NAME.csv        means and intervals over seeds: each score, and each class of it
    NAME-runs.csv   a row a run, part of the split, score and class, with seed, hashes and cost

Numbers are at full precision, and one that is not known is an empty field.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from s4mi.maths.stats import Interval
from s4mi.records import Part, RunRecord, Scores, write_text_atomically
from s4mi.report.results.comparison import Comparison, compare, interval_over, technique_of
from s4mi.report.results.runs import ReportRun
from s4mi.report.results.scores import Metric, class_value, metrics_of
from s4mi.report.results.tables import MAJORITY, Column, columns_of, result_table

SUMMARY = (
    *("dataset", "task", "metric", "class", "method", "backbone", "label_fraction", "labelled_fewest"),
    *("labelled_most", "n", "mean", "low", "high", "best"),
)
RUNS = (
    *("run", "dataset", "synthetic", "task", "method", "backbone", "label_fraction", "labelled", "seed", "part"),
    *("metric", "class", "value", "best_epoch", "epochs", "restarts", "leaks", "seconds", "images_per_second"),
    *("peak_memory_mib", "energy_wh", "parameters", "device", "config_hash", "split_hash", "data_hash"),
    *("git_revision", "started", "finished"),
)


def write_csv(runs: Sequence[ReportRun], path: Path) -> tuple[Path, Path]:
    """Write the two files, whole or not at all, and return where."""
    single = path.with_name(f"{path.stem}-runs{path.suffix}")
    write_text_atomically(path, summary_csv([run.record for run in runs]))
    write_text_atomically(single, runs_csv(runs))
    return path, single


def summary_csv(records: Sequence[RunRecord]) -> str:
    """Every score of every cell, over its seeds; `best` marks the best mean of a column, as in the result table."""
    return _written(SUMMARY, (row for comparison in compare(records) for row in _summary(comparison)))


def runs_csv(runs: Sequence[ReportRun]) -> str:
    """Every score of every run, also of a run that a later one of the same seed has replaced in the summary."""
    ordered = sorted(runs, key=lambda run: run.directory)
    return _written(RUNS, (row for run in ordered for row in _run(run)))


def _summary(comparison: Comparison) -> Iterator[list[object]]:
    for metric in metrics_of(comparison.task):
        table = result_table(comparison, metric)
        rows = [(row.technique.method, row.technique.backbone, row.cells) for row in table.rows]
        if table.reference:
            rows.append((MAJORITY, "", table.reference))
        for method, backbone, cells in rows:
            for column, cell in zip(table.columns, cells, strict=True):
                yield _cell(comparison, metric, "", method, backbone, column, cell.interval, best=cell.best)
    for metric in _one_a_class(comparison):
        for technique in comparison.techniques:
            for column in columns_of(comparison):
                records = comparison.at(technique, column.fraction)
                for name in comparison.records[0].classes:
                    known = interval_over(records, partial(class_value, metric=metric, class_name=name))
                    if known is not None:
                        yield _cell(comparison, metric, name, technique.method, technique.backbone, column, known)


def _cell(
    comparison: Comparison,
    metric: Metric,
    class_name: str,
    method: str,
    backbone: str,
    column: Column,
    interval: Interval | None,
    *,
    best: bool = False,
) -> list[object]:
    name = metric.per_class if class_name else metric.name
    known = (0, "", "", "") if interval is None else (interval.n, interval.mean, interval.low, interval.high)
    return [
        comparison.dataset, comparison.task, name, class_name, method, backbone, f"{column.fraction:g}",
        column.fewest, column.most, *known, int(best),
    ]  # fmt: skip


def _run(run: ReportRun) -> Iterator[list[object]]:
    record, technique = run.record, technique_of(run.record)
    head = [
        run.directory, record.dataset, int(record.synthetic), record.task, technique.method, technique.backbone,
        f"{record.label_fraction:g}", record.labels.train_labelled, record.seed,
    ]  # fmt: skip
    cost = record.cost
    tail = [
        record.best_epoch, record.epochs, record.restarts, record.leaks, cost.seconds, cost.images_per_second,
        cost.peak_memory_mib, cost.energy_wh, cost.parameters, cost.device, record.config_hash, record.split_hash,
        record.data_hash, record.git_revision, record.started, record.finished,
    ]  # fmt: skip
    parts: tuple[tuple[Part, Scores | None], ...] = (("val", record.val), ("test", record.test))
    values: list[tuple[object, ...]] = [(part, *one) for part, scores in parts for one in _values(record, scores)]
    for value in values or [("", "", "", None)]:  # a run without scores has its row all the same
        yield [*head, *value, *tail]


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


def _one_a_class(comparison: Comparison) -> list[Metric]:
    """The scores that single classes have, each once, though several means may be made of it."""
    once = {metric.per_class: metric for metric in reversed(metrics_of(comparison.task))}
    return [metric for metric in metrics_of(comparison.task) if once[metric.per_class] is metric]


def _written(header: Sequence[str], rows: Iterator[list[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
