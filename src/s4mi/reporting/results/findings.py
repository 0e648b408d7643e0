"""Findings on one comparison: ranked techniques, significant differences, labels needed for full supervision."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from s4mi.formatting import plural
from s4mi.maths.stats import Interval
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.few import and_few
from s4mi.reporting.results.label_efficiency import FULL, FullSupervision, full_supervision
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.labels_needed import LabelAnswers, label_answers
from s4mi.reporting.results.paired_tests import TechniquePairs, corrected_together, pairs_of
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import MAJORITY, baseline_name
from s4mi.reporting.results.tables import MeanScore, ResultTable


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
        entries: the best of the column over shared seeds first, then by their means; never empty.
        beats_baseline: the mean of the first is above that of the `baseline` without training, or that is unknown.
        first: why the first is first: it has the best mean of all; or only the runs that it shares with each other
            technique are better, as means are over different seeds; or it has most seeds, where none is ahead of all.
    """

    column: LabelColumn
    entries: tuple[RankedTechnique, ...]
    beats_baseline: bool
    baseline: str = MAJORITY
    first: Literal["mean", "shared", "seeds"] = "mean"


@dataclass(frozen=True)
class Findings:
    """The results behind the sentences on one comparison."""

    comparison: Comparison
    table: ResultTable
    pairs: TechniquePairs
    reference: FullSupervision | None
    answers: LabelAnswers

    @property
    def of_one_technique(self) -> bool:
        """Whether nothing is compared, as on a data set that the time did not suffice for; its card comes last."""
        return len(self.comparison.techniques) < 2

    @property
    def few(self) -> Ranking | None:
        """Ranking at the smallest label fraction between 0 and 100 %, or None if nothing was tested there."""
        partial = [n for n, column in enumerate(self.table.columns) if 0 < column.fraction < FULL]
        return rank(self.table, partial[0]) if partial else None

    @property
    def partial(self) -> tuple[Ranking | None, ...]:
        """Rankings at the label fractions between 0 and 100 %, fewest labels first; None where nothing was tested."""
        columns = enumerate(self.table.columns)
        return tuple(rank(self.table, n) for n, column in columns if 0 < column.fraction < FULL)

    @property
    def full(self) -> Ranking | None:
        """Ranking at 100 % of the labels, or None."""
        return next((rank(self.table, n) for n, c in enumerate(self.table.columns) if c.fraction == FULL), None)

    @property
    def none(self) -> Ranking | None:
        """Ranking without labels, or None."""
        return next((rank(self.table, n) for n, c in enumerate(self.table.columns) if c.fraction == 0), None)

    def significantly_better(self, ranking: Ranking, one: Technique, other: Technique) -> bool:
        """Whether `one` is significantly better than `other` in this column."""
        return any(
            (row.column.fraction, row.ahead, row.behind) == (ranking.column.fraction, one, other)
            and row.seeds.significant
            for row in self.pairs.rows
        )

    def undecided(self, ranking: Ranking) -> tuple[RankedTechnique, ...]:
        """Techniques whose difference to the best of a column is not significant, best mean first."""
        best, *others = ranking.entries
        return tuple(one for one in others if not self.significantly_better(ranking, best.technique, one.technique))


def findings_of(comparison: Comparison, table: ResultTable, runs: Sequence[ReportRun] = ()) -> Findings:
    """Compute the findings on a comparison; with `runs`, as in its `table`, shared test patients count too."""
    return Findings(
        comparison=comparison,
        table=table,
        pairs=pairs_of(comparison, table.metric, runs, table.influences),
        reference=full_supervision(comparison, table.metric),
        answers=label_answers(comparison, table.metric, influences=table.influences),
    )


def findings_together(
    comparisons: Sequence[Comparison], tables: Sequence[ResultTable], runs: Sequence[ReportRun]
) -> list[Findings]:
    """The findings of one report: Holm's correction covers the claims on all its comparisons."""
    findings = [findings_of(comparison, table, runs) for comparison, table in zip(comparisons, tables, strict=True)]
    pairs = corrected_together([one.pairs for one in findings])
    return [replace(one, pairs=own) for one, own in zip(findings, pairs, strict=True)]


def rank(table: ResultTable, column: int) -> Ranking | None:
    """Rank the techniques of one column of a table; None if nothing was tested."""
    cells = [(row.technique, row.cells[column]) for row in table.rows]
    entries = [
        RankedTechnique(technique, cell, cell.interval) for technique, cell in cells if cell.interval is not None
    ]
    if not entries:
        return None
    sign = -1 if table.metric.higher_is_better else 1
    # Where no technique is the best over shared seeds, the one with most seeds comes before one that was lucky once.
    leaders = table.leaders[column]
    entries.sort(
        key=lambda entry: (
            entry.technique not in leaders, 0 if leaders else -entry.interval.n, sign * entry.interval.mean,
        )
    )  # fmt: skip
    baseline = table.reference[column].interval if table.reference else None
    has_best_mean = all(sign * entries[0].interval.mean <= sign * entry.interval.mean for entry in entries)
    return Ranking(
        column=table.columns[column],
        entries=tuple(entries),
        beats_baseline=baseline is None or entries[0].interval.mean > baseline.mean,
        baseline=baseline_name(table.task),
        first="mean" if has_best_mean else "shared" if leaders else "seeds",
    )


def score_text(findings: Findings, interval: Interval) -> str:
    """`IoU 0.712 ± 0.034 (n = 3 seeds)`, or `(n = 3 seeds, few patients)`."""
    score = MeanScore.of(interval, interval.n, findings.table.metric)
    n = and_few(f"n = {plural(interval.n, 'seed')}", interval)
    return f"{findings.table.metric.label} {score.value} ({n})"


def baseline_caveat(ranking: Ranking) -> str:
    """Suffix for a best mean that does not beat the baseline without training; otherwise empty."""
    return "" if ranking.beats_baseline else f", no better than the {ranking.baseline}"
