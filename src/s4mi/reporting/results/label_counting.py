"""What a table counts as labels, said in every table; and what choosing with labels costs, in a table of its own."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.label_names import span
from s4mi.reporting.results.printed_interval import printed_interval
from s4mi.reporting.results.scores import MISSING, Metric, defined
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row
from s4mi.reporting.results.tables import LABELS, MEAN, TECHNIQUE, MeanScore, ResultTable, runs_by_cell, technique_cell

Section = TypeVar("Section", bound=Any)
COUNTED: Final = "Labels counted: training and validation."
PAPER: Final = "Labels counted: training only (the paper's way)"
CHOSEN: Final = {
    "validation": "labels held out",
    "cross_validation": "labels in folds",
    "last": "nothing, last epoch",
}


def counting(records: Sequence[RunRecord]) -> str:
    """One sentence on what counts as labels of these runs, which all count alike."""
    if not records or records[0].labels.counted:
        return COUNTED if records else ""
    beside = [record.labels.beside for record in records]
    more = f"; {span(beside)} more for validation" if max(beside) else ""
    return f"{PAPER}{more}."


def with_counting(section: Section, comparison: Comparison) -> Section:
    """Return a section of a report, each of whose tables says in its caption what counts as labels."""
    sentence = counting(comparison.records)
    changed: dict[str, Table | tuple[Table, ...]] = {}
    for one in fields(section):
        value = getattr(section, one.name)
        if isinstance(value, Table):
            changed[one.name] = _said(value, sentence)
        elif isinstance(value, tuple) and value and all(isinstance(each, Table) for each in value):
            changed[one.name] = tuple(_said(each, sentence) for each in value)
    return replace(section, **changed)


def label_table(comparison: Comparison, metric: Metric, results: ResultTable | None = None) -> Table:
    """Labels that runs trained on and chose with, and the score of the last epoch beside that of the chosen one.

    Args:
        results: of the comparison, whose intervals are printed; None: intervals are over seeds alone.
    """
    rows = []
    for technique, column, records in runs_by_cell(comparison):
        labels = [record.labels for record in records]
        interval = printed_interval(comparison, technique, column.fraction, metric, results)
        chosen = MeanScore.of(interval, len(records), metric).cell
        last = _mean([last_score(record, metric) for record in records], metric)
        rows.append(
            table_row(
                technique_cell(technique), column.title, span([one.n for one in labels]),
                span([one.train_labelled for one in labels]), _chosen_with(records), chosen, last,
            )
        )  # fmt: skip
    return Table(
        title="Labels and choice",
        subject=comparison.title,
        columns=(
            TECHNIQUE, LABELS, Column("Labels counted", kind="number"), Column("Trained on", kind="number"),
            Column("Chosen with", kind="prose"), Column(f"Test {metric.label}"), Column("Last epoch"),
        ),
        rows=tuple(rows),
        caption=f"{MEAN} Last epoch: its mean {metric.label} on test, whether it was chosen or not; the difference is "
        "what the choice brought.",
    )  # fmt: skip


def last_score(record: RunRecord, metric: Metric) -> float | None:
    """The test score of the last epoch; None for fitted methods, and where it is not known."""
    if record.fit is not None:
        return None
    scores = record.test if record.best_epoch == record.epochs else record.last_test
    return defined(getattr(scores, metric.name, None))


def _mean(scores: Sequence[float | None], metric: Metric) -> Cell:
    """Mean without an interval: predictions of the last epoch are kept for no test patient."""
    known = [score for score in scores if score is not None]
    if not known:
        return Cell()
    return Cell(f"{sum(known) / len(known):.{metric.digits}f}", details=(f"n = {len(known)}",))


def _chosen_with(records: Sequence[RunRecord]) -> Cell:
    """`6–7 labels held out`, and why another rule was followed than the one in the settings."""
    known = [record.selection for record in records if record.selection is not None]
    if not known:  # older versions always used the validation part
        return Cell(f"{span([record.labels.val for record in records])} labels of the validation part")
    texts = []
    for used in dict.fromkeys(one.used for one in known):
        counts = [one.labels for one in known if one.used == used]
        what = CHOSEN[used]
        if used == "validation" and not records[0].labels.counted:
            what = "labels of the validation part"
        share = f" ({len(counts)} of {len(known)} runs)" if len(counts) < len(known) else ""
        texts.append((f"{what}" if used == "last" else f"{span(counts)} {what}") + share)
    notes = dict.fromkeys(one.note for one in known if one.note)
    return Cell("; ".join(texts) or MISSING, details=tuple(notes))


def _said(table: Table, sentence: str) -> Table:
    return replace(table, caption=" ".join(filter(None, [table.caption, sentence])))
