"""Scores of each ensemble member: the networks of a technique and their average, raw and post-processed."""

from functools import partial

from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, interval_over
from s4mi.reporting.results.scores import Metric, defined
from s4mi.reporting.results.table_model import Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, MEAN, SEEDS_ONLY, TECHNIQUE, MeanScore, runs_by_cell, technique_cell


def member_table(comparison: Comparison, metric: Metric) -> Table | None:
    """A row per member of every technique that has several; None where none has. An unmeasured score is a dash."""
    rows = []
    for technique, column, records in runs_by_cell(comparison):
        for name in dict.fromkeys(name for record in records for name in record.members):
            interval = interval_over(records, partial(_member_score, name=name, metric=metric), limits=metric.limits)
            score = MeanScore.of(interval, len(records), metric)
            selected = f"{sum(record.member == name for record in records)} of {len(records)} runs"
            rows.append(table_row(technique_cell(technique), column.title, name, score.cell, selected))
    if not rows:
        return None
    return Table(
        title="Ensemble members",
        subject=comparison.title,
        columns=(TECHNIQUE, LABELS, Column("Member"), Column(f"Test {metric.label}"), Column("Selected")),
        rows=tuple(rows),
        caption=f"{MEAN} {SEEDS_ONLY} Every other table shows the member that scored best on validation in each run.",
    )


def _member_score(record: RunRecord, *, name: str, metric: Metric) -> float | None:
    test = record.members[name].test if name in record.members else None
    return defined(getattr(test, metric.name, None))
