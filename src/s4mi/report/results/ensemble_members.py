"""The answers of techniques that give several, side by side: two networks and their average, raw and post-processed."""

from collections.abc import Callable
from dataclasses import dataclass

from s4mi.records import RunRecord, SegmentationScores
from s4mi.report.results.comparison import Comparison, Technique, interval_over
from s4mi.report.results.scores import Metric
from s4mi.report.results.tables import Cell, Column, columns_of


@dataclass(frozen=True)
class MemberRow:
    """One reading of a technique at one label fraction; `chosen` of the `runs` took it by validation."""

    technique: Technique
    column: Column
    member: str
    score: Cell
    chosen: int
    runs: int


def member_rows(comparison: Comparison, metric: Metric) -> tuple[MemberRow, ...]:
    """A row a member, of all cells whose runs give several; what was measured of none is a dash."""
    rows = []
    for technique in comparison.techniques:
        for column in columns_of(comparison):
            records = comparison.at(technique, column.fraction)
            for name in dict.fromkeys(name for record in records for name in record.members):
                interval = interval_over(records, _score_of(name, metric))
                row = MemberRow(
                    technique=technique,
                    column=column,
                    member=name,
                    score=Cell.of(interval, len(records), metric),
                    chosen=sum(record.member == name for record in records),
                    runs=len(records),
                )
                rows.append(row)
    return tuple(rows)


def _score_of(name: str, metric: Metric) -> Callable[[RunRecord], float | None]:
    """The score of the member `name` on the test part."""

    def score(record: RunRecord) -> float | None:
        test: SegmentationScores | None = record.members[name].test if name in record.members else None
        value = getattr(test, metric.name, None)
        return None if value is None else float(value)

    return score
