"""Tables of labels needed: by target and technique, and what more labels brought and would bring."""

from s4mi.maths.stats import Interval
from s4mi.reporting.results.few import FEW_SEEDS, few_details, few_explained
from s4mi.reporting.results.label_gains import gain_text
from s4mi.reporting.results.labels_needed import LabelAnswer, LabelAnswers
from s4mi.reporting.results.scores import MISSING, Metric
from s4mi.reporting.results.table_model import Cell, Column, Table, table_row
from s4mi.reporting.results.tables import TECHNIQUE, technique_cell


def answers_table(answers: LabelAnswers, *, subject: str) -> Table | None:
    """A row per target and technique, fewest labels first; None where nothing was asked."""
    if not answers.answers:
        return None
    noun = answers.noun
    rows = [table_row(technique_cell(one.technique), one.target.title, *_cells(one)) for one in answers.answers]
    table = Table(
        title="Labels needed",
        subject=subject,
        columns=(
            TECHNIQUE,
            Column("To reach"),
            Column(f"{noun.capitalize()} needed"),
            Column("95 % interval"),
            Column("Otherwise", kind="prose"),
        ),
        rows=tuple(rows),
        caption=f"{noun.capitalize()} at which the learning curve reaches a score; intervals over {answers.over}. "
        "Within the numbers tested by monotone interpolation and a power law, beyond them, at most 4 ×, by the power "
        "law where it fits.",
    )
    return few_explained(table)


def gains_table_of(answers: LabelAnswers, *, subject: str) -> Table | None:
    """A row per technique: from the fewest to the most labels tested, and on; None without two numbers of labels."""
    if not answers.gains:
        return None
    metric, noun = answers.metric, answers.noun
    rows = []
    for gain in answers.gains:
        labels = f"{gain.fewest} → {gain.most}"
        rows.append(
            table_row(
                technique_cell(gain.technique), labels, _gain(gain.brought, metric),
                MISSING if gain.more is None else f"{gain.more}", _gain(gain.would_bring, metric),
            )
        )  # fmt: skip
    table = Table(
        title=f"What more {noun} bring",
        subject=subject,
        columns=(
            TECHNIQUE,
            Column(noun.capitalize()),
            Column(f"Brought {metric.label}"),
            Column("With"),
            Column("Expected more"),
        ),
        rows=tuple(rows),
        caption=f"Differences with 95 % intervals over {answers.over}; expected by the learning curve, a dash where "
        "it does not fit.",
    )
    return few_explained(table)


def _gain(gain: Interval | None, metric: Metric) -> Cell:
    return Cell() if gain is None else Cell(gain_text(gain, metric), details=few_details(gain))


def _cells(one: LabelAnswer) -> list[Cell]:
    """Labels needed, interval, and why there is none with what to add."""
    if not one.told:
        return [Cell(), Cell(), Cell(one.reason, details=(one.hint,) if one.hint else ())]
    details = ("extrapolated",) if one.kind == "extrapolated" else ()
    few = (FEW_SEEDS,) if one.few_seeds else ()
    return [Cell(f"{one.labels}", details=details), Cell(one.span, details=few), Cell()]
