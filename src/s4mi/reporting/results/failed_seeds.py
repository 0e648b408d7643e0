"""Seeds whose training failed: far below the others of the same technique and label fraction.

Such a failure belongs to the mean and to its interval, which are not changed. No interval allows for one that has not
occurred: if one training in ten fails, five seeds do not show it in 59 % of cases (docs/explanation/intervals.md).
"""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, compare
from s4mi.reporting.results.notes import shortened
from s4mi.reporting.results.scores import Metric, metric_of, score_of

FEWEST: Final = 3
"""Seeds that it takes to say which one is unlike the others."""
SHARE: Final = 0.5
"""A failed seed has less than this share of the median of the others."""
APART: Final = 2.0
"""It is also further below the worst of them than this multiple of their range."""


def failed_seed_notes(records: Sequence[RunRecord]) -> list[str]:
    """A line on each failed seed by the primary metric of its task."""
    notes = [note for one in compare(records) for note in _notes(one, metric_of(one.task))]
    return shortened(notes, like="failed seeds")


def _notes(comparison: Comparison, metric: Metric) -> Iterator[str]:
    for technique in comparison.techniques:
        for fraction in comparison.fractions:
            records = comparison.at(technique, fraction)
            scores = {one.seed: score for one in records if (score := score_of(one, metric)) is not None}
            seed = failed_seed(scores)
            if seed is None:
                continue
            others = [score for other, score in scores.items() if other != seed]
            yield (
                f"{comparison.title}: {technique.label} at {comparison.amount_name(fraction)}, seed {seed} has "
                f"{metric.label} "
                f"{scores[seed]:.{metric.digits}f}, the others {min(others):.{metric.digits}f} to "
                f"{max(others):.{metric.digits}f}: this training failed; its mean and interval include it, and no "
                "interval of a few seeds allows for failures that they do not show"
            )


def failed_seed(scores: dict[int, float]) -> int | None:
    """The seed with the lowest score, where it is unlike all others; higher scores must be better."""
    if len(scores) < FEWEST:
        return None
    worst = min(scores, key=lambda seed: (scores[seed], seed))
    others = [score for seed, score in scores.items() if seed != worst]
    gap, spread = min(others) - scores[worst], max(others) - min(others)
    return worst if scores[worst] < SHARE * median(others) and gap > APART * spread else None
