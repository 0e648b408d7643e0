"""What the records say, in plain sentences that claim no more than the intervals carry."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.maths.stats import Interval
from s4mi.report.comparison import Technique
from s4mi.report.scores import TASK_NAMES
from s4mi.report.tables import Cell, Column, ResultTable


@dataclass(frozen=True)
class Entry:
    """A tested technique in one column."""

    technique: Technique
    cell: Cell
    interval: Interval


@dataclass(frozen=True)
class Ranking:
    """The tested techniques of one column.

    Attributes:
        entries: best mean first; never empty.
        rivals: those of the others whose interval is not clear of the best one's, best mean first.
        beats_majority: the best mean lies above that of the most frequent answer, or that is not known.
    """

    column: Column
    entries: tuple[Entry, ...]
    rivals: tuple[Entry, ...]
    beats_majority: bool

    @property
    def clear(self) -> bool:
        """Whether the best technique stands apart from at least one other and from all of them."""
        return len(self.entries) > 1 and not self.rivals


def rank(table: ResultTable, column: int) -> Ranking | None:
    """Rank one column of a table; None where nothing was tested."""
    cells = [(row.technique, row.cells[column]) for row in table.rows]
    entries = [Entry(technique, cell, cell.interval) for technique, cell in cells if cell.interval is not None]
    if not entries:
        return None
    entries.sort(key=lambda entry: entry.interval.mean, reverse=table.metric.higher_is_better)
    best = entries[0]
    majority = table.reference[column].interval if table.reference else None
    return Ranking(
        column=table.columns[column],
        entries=tuple(entries),
        rivals=tuple(entry for entry in entries[1:] if not best.interval.clear_of(entry.interval)),
        beats_majority=majority is None or best.interval.mean > majority.mean,
    )


def finding(table: ResultTable) -> str:
    """One sentence: the best technique at the smallest and at the largest label fraction, and whether it is clear.

    Where something was tested without labels, that comes first.
    """
    where = f"{table.dataset}, {TASK_NAMES[table.task]}"
    some = [number for number, column in enumerate(table.columns) if column.fraction > 0] or [0]
    ends = [rank(table, column) for column in sorted({0, some[0], some[-1]})]
    known = [ranking for ranking in ends if ranking]
    if not known:
        return f"{where}: no run was tested yet, so there is nothing to compare."
    if all(len(ranking.entries) == 1 for ranking in known) and len({r.entries[0].technique for r in known}) == 1:
        scores = " and ".join(f"{r.entries[0].cell.text} {_at(r)}{_weak(r)}" for r in known)
        return f"{where}: only {known[0].entries[0].technique.label} was tested; {table.metric.label} is {scores}."
    return f"{where}: " + "; ".join(_clause(ranking, table) for ranking in known) + "."


def verdict(tables: Sequence[ResultTable]) -> list[str]:
    """At most three sentences: one a table where techniques compete in few of them, counts where they do in many."""
    if not tables:
        return ["There is no finished run yet."]
    contested = [table for table in tables if _contested(table)]
    if len(tables) <= 3 or 1 <= len(contested) <= 3:
        return [finding(table) for table in (contested or tables)]
    sentences = []
    for name, end in (("smallest", 0), ("largest", -1)):
        some = [[number for number, column in enumerate(table.columns) if column.fraction > 0] for table in tables]
        ranked = [rank(table, numbers[end]) for table, numbers in zip(tables, some, strict=True) if numbers]
        rankings = [ranking for ranking in ranked if ranking]
        if sentence := _counts(rankings, name):
            sentences.append(sentence)
    return sentences or ["Nowhere were two techniques tested, so there is nothing to compare."]


def _contested(table: ResultTable) -> bool:
    """Whether some label fraction was tested with two techniques."""
    rankings = (rank(table, column) for column in range(len(table.columns)))
    return any(ranking is not None and len(ranking.entries) > 1 for ranking in rankings)


def _clause(ranking: Ranking, table: ResultTable) -> str:
    best = ranking.entries[0]
    name, score = best.technique.label, f"{table.metric.label} {best.cell.value}"
    seeds = _seeds(min(entry.interval.n for entry in [best, *(ranking.rivals[:1] or ranking.entries)]))
    if len(ranking.entries) == 1:
        rest = f"only {name} was tested, {score} with {seeds}"
    elif ranking.clear:
        rest = f"{name} is best with {score}, its interval clear of every other with {seeds}"
    else:
        rival = ranking.rivals[0].technique.label
        rest = f"{name} has the best mean, {score}, but cannot be told apart from {rival} with {seeds}"
    return f"{_at(ranking)} {rest}{_weak(ranking)}"


def _seeds(n: int) -> str:
    return f"n = {n} seed{'' if n == 1 else 's'}"


def _at(ranking: Ranking) -> str:
    return f"at {ranking.column.title} of the labels ({ranking.column.labelled} images)"


def _weak(ranking: Ranking) -> str:
    return "" if ranking.beats_majority else " (no better than always giving the most frequent answer)"


def _counts(rankings: Sequence[Ranking], name: str) -> str:
    contests = [ranking for ranking in rankings if len(ranking.entries) > 1]
    if not contests:
        return ""
    wins = Counter(ranking.entries[0].technique.label for ranking in contests)
    clear = sum(ranking.clear for ranking in contests)
    told = ", ".join(f"{label} in {count}" for label, count in sorted(wins.items(), key=lambda win: (-win[1], win[0])))
    return (
        f"At the {name} label fraction of each of {len(contests)} comparisons, the best mean is that of {told}; "
        f"its interval is clear of every other in {clear}, and in {len(contests) - clear} it cannot be told apart."
    )
