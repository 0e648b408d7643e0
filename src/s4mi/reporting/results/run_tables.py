"""Tables with a row per run: finished ones with their score and hashes, and those that failed or are unfinished."""

from collections.abc import Sequence

from s4mi.formatting import plural
from s4mi.reporting.results.comparison import technique_of
from s4mi.reporting.results.fit_costs import encoding_sentence, feature_details, short_duration
from s4mi.reporting.results.label_names import amount_of
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import TASK_NAMES, Metric, metric_of, score_of
from s4mi.reporting.results.table_model import Cell, Column, Row, Table, table_row
from s4mi.reporting.results.training_length import last_score
from s4mi.reporting.results.unfinished_runs import UnfinishedRun

NO_FAILURE = "no failure recorded: still running, or interrupted"


def run_table(runs: Sequence[ReportRun]) -> Table | None:
    """Every finished run, sorted by directory; None without any."""
    columns = (
        *(Column("Run"), Column("Data set", "task"), Column("Technique"), Column("Labels"), Column("Seed")),
        *(Column("Test score"), Column("Best epoch"), Column("Time", kind="number")),
        *(Column(f"{name} hash", kind="code") for name in ("Settings", "Split", "Data")),
    )
    rows = tuple(_run(run) for run in sorted(runs, key=lambda run: run.directory))
    encoding = encoding_sentence([run.record for run in runs])
    caption = " ".join(filter(None, ["Score, cost and hashes of every finished run.", encoding]))
    return Table("Runs", "", columns, rows, caption) if rows else None


def _run(run: ReportRun) -> Row:
    record, metric = run.record, metric_of(run.record.task)
    score = score_of(record, metric)
    return table_row(
        run.directory,
        Cell(record.dataset, details=(TASK_NAMES[record.task],)),
        technique_of(record).label,
        amount_of(record),
        f"{record.seed}",
        Cell("" if score is None else f"{score:.{metric.digits}f}", details=(metric.label, *_last_epoch(run, metric))),
        Cell("fitted at once" if record.fit else f"{record.best_epoch} of {record.epochs}", details=_length(run)),
        Cell(short_duration(record.cost.seconds), details=feature_details(record)),
        record.config_hash,
        record.split_hash,
        record.data_hash,
    )


def _last_epoch(run: ReportRun, metric: Metric) -> tuple[str, ...]:
    score = last_score(run.record)
    return () if score is None else (f"last epoch {score:.{metric.digits}f}",)


def _length(run: ReportRun) -> tuple[str, ...]:
    return () if run.record.steps is None else (plural(run.record.steps, "step"),)


def unfinished_table(runs: Sequence[UnfinishedRun]) -> Table | None:
    """Every run without a result: its state, its progress and the reason; None without any."""
    rows = []
    for run in runs:
        state = f"{run.status}, last {run.when}" if run.when else run.status
        rows.append(table_row(Cell(run.directory, details=(state, run.progress)), run.reason or NO_FAILURE))
    columns = (Column("Run"), Column("Reason", kind="prose"))
    caption = "Runs without a result; no number in this report includes them."
    return Table("Failed and unfinished runs", "", columns, tuple(rows), caption) if rows else None
