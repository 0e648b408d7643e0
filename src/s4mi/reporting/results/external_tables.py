"""Scores on external test sets beside those on the internal test part: how far a technique carries."""

from collections.abc import Callable, Sequence

from s4mi.formatting import plural
from s4mi.records import ExternalTest, RunRecord
from s4mi.records.reliability import Reliability
from s4mi.reporting.results.comparison import Comparison, interval_over
from s4mi.reporting.results.scores import Metric, score_of
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, MEAN, TECHNIQUE, MeanScore, runs_by_cell, span, technique_cell

CALIBRATION = Metric("ece", "calibration error", higher_is_better=False)
LIKELIHOOD = Metric("nll", "NLL", bounded=False, higher_is_better=False)
Value = Callable[[RunRecord], float | None]


DROP = 2
"""Position of the difference among the values of a row."""


def external_names(comparison: Comparison) -> tuple[str, ...]:
    """Names of the external test sets that any run was scored on, in the order of the settings."""
    return tuple(dict.fromkeys(name for record in comparison.records for name in record.external))


def external_tables(comparison: Comparison, metric: Metric) -> tuple[Table, ...]:
    """One table for each external test set."""
    return tuple(external_table(comparison, metric, name) for name in external_names(comparison))


def external_table(comparison: Comparison, metric: Metric, name: str) -> Table:
    """Internal and external score of the same runs, the drop between them, and calibration on both."""
    rows = []
    for technique, column, records in runs_by_cell(comparison):
        scored = [record for record in records if name in record.external]
        if not scored:
            continue
        values: list[tuple[Value, Metric]] = [
            (lambda record: score_of(record, metric), metric),
            (lambda record: _external_score(record, metric, name), metric),
            (lambda record: record.external[name].drop(record.test, metric.name), metric),
            (lambda record: _error(record.calibration), CALIBRATION),
            (lambda record: _error(record.external[name].calibration), CALIBRATION),
            (lambda record: _likelihood(record.calibration), LIKELIHOOD),
            (lambda record: _likelihood(record.external[name].calibration), LIKELIHOOD),
        ]
        missing = len(records) - len(scored)
        cells = [
            _cell(scored, value, of, of.difference_limits if n == DROP else of.limits, missing=missing)
            for n, (value, of) in enumerate(values)
        ]
        rows.append(table_row(technique_cell(technique), column.title, *cells))
    return Table(
        title=f"External test set {name}",
        subject=comparison.title,
        columns=(
            TECHNIQUE, LABELS, Column(f"Internal {metric.label}"), Column(f"{name} {metric.label}"), Column("Drop"),
            Column("Internal ECE"), Column(f"{name} ECE"), Column("Internal NLL", "nats"),
            Column(f"{name} NLL", "nats"),
        ),
        rows=tuple(rows),
        caption=_caption([record.external[name] for record in comparison.records if name in record.external]),
    )  # fmt: skip


def _caption(results: Sequence[ExternalTest]) -> str:
    """What the test set is, how it differs from the data set, and what the columns mean."""
    first = results[0]
    patients = [one.patients for one in results if one.patients is not None]
    of = f" of {plural(max(patients), 'patient')}" if patients else ""
    drawn = ", drawn by a program" if first.synthetic else ""
    sentences = [f"{first.dataset}: {span([one.images for one in results])} images{of}{drawn}."]
    notes = dict.fromkeys(note for one in results for note in one.notes)
    sentences += [f"{note[:1].upper()}{note[1:]}." for note in notes]
    return " ".join([
        *sentences, MEAN, "Drop: internal minus external, paired by run, with its interval over seeds on these test "
        "sets. ECE and NLL: calibration error and negative log-likelihood with the temperature of the run.",
    ])  # fmt: skip


def _cell(
    records: Sequence[RunRecord], value: Value, metric: Metric, limits: tuple[float, float], *, missing: int
) -> Cell:
    interval = interval_over(records, value, limits=limits)
    return MeanScore.of(interval, len(records) + missing, metric, limits=limits).cell


def _external_score(record: RunRecord, metric: Metric, name: str) -> float | None:
    value = getattr(record.external[name].scores, metric.name, None)
    return None if value is None else float(value)


def _error(calibration: Reliability | None) -> float | None:
    return None if calibration is None else calibration.ece_calibrated


def _likelihood(calibration: Reliability | None) -> float | None:
    return None if calibration is None else calibration.nll_calibrated
