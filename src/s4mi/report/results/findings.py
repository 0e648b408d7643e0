"""All that the sentences on one comparison are made from: who was tested where, who is ahead, and what is needed."""

from dataclasses import dataclass

from s4mi.maths.stats import Interval
from s4mi.report.results.comparison import Comparison, Technique
from s4mi.report.results.label_efficiency import (
    FULL,
    FullSupervision,
    LabelsNeeded,
    TechniqueCurve,
    full_supervision,
    labels_needed,
    technique_curves,
)
from s4mi.report.results.paired_tests import TechniquePairs, pairs_of
from s4mi.report.results.tables import LabelColumn, MeanScore, ResultTable


@dataclass(frozen=True)
class RankedTechnique:
    """A tested technique in one column."""

    technique: Technique
    cell: MeanScore
    interval: Interval


@dataclass(frozen=True)
class Ranking:
    """The tested techniques of one column.

    Attributes:
        entries: best mean first; never empty.
        beats_majority: the best mean lies above that of the most frequent answer, or that is not known.
    """

    column: LabelColumn
    entries: tuple[RankedTechnique, ...]
    beats_majority: bool


@dataclass(frozen=True)
class Findings:
    """All that the sentences on one comparison are made from."""

    comparison: Comparison
    table: ResultTable
    pairs: TechniquePairs
    reference: FullSupervision | None
    curves: tuple[TechniqueCurve, ...]

    @property
    def few(self) -> Ranking | None:
        """At the smallest label fraction above 0, if that is below 100 % and something was tested there."""
        some = [n for n, column in enumerate(self.table.columns) if 0 < column.fraction < FULL]
        return rank(self.table, some[0]) if some else None

    @property
    def full(self) -> Ranking | None:
        """At 100 %."""
        return next((rank(self.table, n) for n, c in enumerate(self.table.columns) if c.fraction == FULL), None)

    @property
    def none(self) -> Ranking | None:
        """Without labels."""
        return next((rank(self.table, n) for n, c in enumerate(self.table.columns) if c.fraction == 0), None)

    @property
    def need(self) -> LabelsNeeded:
        if self.comparison.fractions == (FULL,) and self.reference is not None:
            return LabelsNeeded(
                "unknown", "how many cannot be told, as nothing was tested with fewer than 100 % of them"
            )
        return labels_needed(self.reference, self.curves)

    def surely_better(self, ranking: Ranking, one: Technique, other: Technique) -> bool:
        """Whether `one` is ahead of `other` beyond chance in this column."""
        return any(
            (row.column.fraction, row.ahead, row.behind) == (ranking.column.fraction, one, other)
            and row.seeds.told_apart
            for row in self.pairs.rows
        )

    def doubtful(self, ranking: Ranking) -> tuple[RankedTechnique, ...]:
        """Those over whom the best of a column is not surely ahead, best mean first."""
        best, *others = ranking.entries
        return tuple(entry for entry in others if not self.surely_better(ranking, best.technique, entry.technique))


def findings_of(comparison: Comparison, table: ResultTable) -> Findings:
    """Everything that the sentences on a comparison need."""
    reference = full_supervision(comparison, table.metric)
    return Findings(
        comparison=comparison,
        table=table,
        pairs=pairs_of(comparison, table.metric, ()),
        reference=reference,
        curves=technique_curves(comparison, table.metric, reference),
    )


def rank(table: ResultTable, column: int) -> Ranking | None:
    """Rank one column of a table; None where nothing was tested."""
    cells = [(row.technique, row.cells[column]) for row in table.rows]
    entries = [
        RankedTechnique(technique, cell, cell.interval) for technique, cell in cells if cell.interval is not None
    ]
    if not entries:
        return None
    entries.sort(key=lambda entry: entry.interval.mean, reverse=table.metric.higher_is_better)
    majority = table.reference[column].interval if table.reference else None
    return Ranking(
        column=table.columns[column],
        entries=tuple(entries),
        beats_majority=majority is None or entries[0].interval.mean > majority.mean,
    )


def score_text(story: Findings, interval: Interval) -> str:
    """`IoU 0.712 ± 0.034 (n = 3 seeds)`."""
    cell = MeanScore.of(interval, interval.n, story.table.metric)
    return f"{story.table.metric.label} {cell.value} (n = {interval.n} seed{'' if interval.n == 1 else 's'})"


def weak_words(ranking: Ranking) -> str:
    """What to add of a best mean that is none."""
    return "" if ranking.beats_majority else ", no better than always giving the most frequent answer"
