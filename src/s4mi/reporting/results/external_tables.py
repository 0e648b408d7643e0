"""Scores on external test sets beside those on the internal test part: how far a technique carries."""

from collections.abc import Callable, Sequence

from s4mi.formatting import plural
from s4mi.maths.crossed import crossed_mean
from s4mi.maths.stats import Interval
from s4mi.records import ExternalTest, RunRecord
from s4mi.records.reliability import Reliability
from s4mi.reporting.results.comparison import Comparison, interval_over
from s4mi.reporting.results.few import few_explained
from s4mi.reporting.results.label_names import span
from s4mi.reporting.results.patient_effects import Influences, crossed_score_of, few_patients, influences_of
from s4mi.reporting.results.runs import ReportRun, run_key
from s4mi.reporting.results.scores import Metric, defined, score_of
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, MEAN, TECHNIQUE, MeanScore, runs_by_cell, technique_cell

CALIBRATION = Metric("ece", "calibration error", higher_is_better=False)
LIKELIHOOD = Metric("nll", "NLL", bounded=False, higher_is_better=False)
Value = Callable[[RunRecord], float | None]


def external_names(comparison: Comparison) -> tuple[str, ...]:
    """Names of the external test sets that any run was scored on, in the order of the settings."""
    return tuple(dict.fromkeys(name for record in comparison.records for name in record.external))


def external_tables(comparison: Comparison, metric: Metric, runs: Sequence[ReportRun] = ()) -> tuple[Table, ...]:
    """One table for each external test set.

    Args:
        runs: of the comparison; with their test patients, intervals are over seeds and the patients that these share.
    """
    return tuple(external_table(comparison, metric, name, runs) for name in external_names(comparison))


def external_table(comparison: Comparison, metric: Metric, name: str, runs: Sequence[ReportRun] = ()) -> Table:
    """Internal and external score of the same runs, the drop between them, and calibration on both."""
    here = influences_of(comparison, runs, metric)
    outside = [one for run in runs if (one := run.on(name)) is not None]
    there = influences_of(comparison, outside, metric)
    few_here, few_there = (
        few_patients(some, metric) if len(comparison.records) > 1 else {} for some in (runs, outside)
    )
    rows = []
    for technique, column, records in runs_by_cell(comparison):
        scored = [record for record in records if name in record.external]
        if not scored:
            continue
        missing = len(records) - len(scored)
        scores = (
            crossed_score_of(scored, lambda record: score_of(record, metric), metric, here, few_here),
            crossed_score_of(scored, lambda record: _external_score(record, metric, name), metric, there, few_there),
            _drop(scored, metric, name, here, there),
        )
        limits = (metric.limits, metric.limits, metric.difference_limits)
        values: list[tuple[Value, Metric]] = [
            (lambda record: _error(record.calibration), CALIBRATION),
            (lambda record: _error(record.external[name].calibration), CALIBRATION),
            (lambda record: _likelihood(record.calibration), LIKELIHOOD),
            (lambda record: _likelihood(record.external[name].calibration), LIKELIHOOD),
        ]
        cells = [
            MeanScore.of(interval, len(records), metric, limits=within).cell
            for interval, within in zip(scores, limits, strict=True)
        ]
        cells += [_cell(scored, value, of, missing=missing) for value, of in values]
        rows.append(table_row(technique_cell(technique), column.title, *cells))
    table = Table(
        title=f"External test set {name}",
        subject=comparison.title,
        columns=(
            TECHNIQUE, LABELS, Column(f"Internal {metric.label}"), Column(f"{name} {metric.label}"), Column("Drop"),
            Column("Internal ECE"), Column(f"{name} ECE"), Column("Internal NLL", "nats"),
            Column(f"{name} NLL", "nats"),
        ),
        rows=tuple(rows),
        caption=_caption(
            [record.external[name] for record in comparison.records if name in record.external],
            over_patients=bool(here and there),
        ),
    )  # fmt: skip
    return few_explained(table)


def _drop(
    records: Sequence[RunRecord], metric: Metric, name: str, here: Influences, there: Influences
) -> Interval | None:
    """Internal less external score, paired by run, over seeds and the patients of both sets, which are independent."""
    drops = [(one, defined(one.external[name].drop(one.test, metric.name))) for one in records]
    known = [(one, drop) for one, drop in drops if drop is not None]
    if not known:
        return None
    parts = [
        {**{f"internal {patient}": value for patient, value in here[key].items()},
         **{f"external {patient}": -value for patient, value in there[key].items()}}
        for key in (run_key(one) for one, _ in known)
        if key in here and key in there
    ]  # fmt: skip
    return crossed_mean([drop for _, drop in known], parts if len(parts) == len(known) else ()).interval()


def _caption(results: Sequence[ExternalTest], *, over_patients: bool) -> str:
    """What the test set is, how it differs from the data set, and what the columns mean."""
    first = results[0]
    patients = [one.patients for one in results if one.patients is not None]
    of = f" of {plural(max(patients), 'patient')}" if patients else ""
    drawn = ", drawn by a program" if first.synthetic else ""
    sentences = [f"{first.dataset}: {span([one.images for one in results])} images{of}{drawn}."]
    notes = dict.fromkeys(note for one in results for note in one.notes)
    sentences += [f"{note[:1].upper()}{note[1:]}." for note in notes]
    return " ".join([
        *sentences, MEAN,
        "Drop: internal minus external, paired by run; its interval is over seeds and the patients of both test sets."
        if over_patients
        else "Drop: internal minus external, paired by run, with its interval over seeds on these test sets.",
        "ECE and NLL: calibration error and negative log-likelihood with the temperature of the run, over seeds.",
    ])  # fmt: skip


def _cell(records: Sequence[RunRecord], value: Value, metric: Metric, *, missing: int) -> Cell:
    interval = interval_over(records, value, limits=metric.limits)
    return MeanScore.of(interval, len(records) + missing, metric).cell


def _external_score(record: RunRecord, metric: Metric, name: str) -> float | None:
    return defined(getattr(record.external[name].scores, metric.name, None))


def _error(calibration: Reliability | None) -> float | None:
    return None if calibration is None else defined(calibration.ece_calibrated)


def _likelihood(calibration: Reliability | None) -> float | None:
    return None if calibration is None else defined(calibration.nll_calibrated)
