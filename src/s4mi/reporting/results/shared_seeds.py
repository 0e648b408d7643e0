"""Which runs may be compared: those of one seed, on one test part, with the same number of labels.

Means over different seeds, other test images or unequal numbers of labels differ for other reasons than the technique.
So a technique is ahead of another only over the runs that both have, one pair for each seed, and the best of a column
is behind no other in this way.
"""

from collections import Counter
from collections.abc import Sequence

from s4mi.records import RunRecord
from s4mi.reporting.results.comparison import Comparison, Technique, part_tested
from s4mi.reporting.results.scores import Metric, score_of

RunPair = tuple[RunRecord, RunRecord]


def in_common(
    comparison: Comparison, metric: Metric, one: Technique, other: Technique, *, fraction: float
) -> list[RunPair]:
    """Pairs of scored runs of two techniques that may be compared, by seed."""
    others = {_key(record): record for record in _scored(comparison, other, fraction, metric)}
    mine = _scored(comparison, one, fraction, metric)
    return [(record, others[key]) for record in mine if (key := _key(record)) in others]


def leaders(
    comparison: Comparison, techniques: Sequence[Technique], *, fraction: float, metric: Metric
) -> frozenset[Technique]:
    """The techniques that are behind no other of a column over the seeds that both have: one, or several with a tie.

    Empty with fewer than two scored techniques, and where each is behind some other or shares no seed with it.
    """
    scored = [one for one in techniques if _scored(comparison, one, fraction, metric)]
    if len(scored) < 2:
        return frozenset()

    def behind_none(one: Technique) -> bool:
        others = [other for other in scored if other != one]
        return all(_ahead(in_common(comparison, metric, one, other, fraction=fraction), metric) for other in others)

    return frozenset(one for one in scored if behind_none(one))


def seeds_of(comparison: Comparison, technique: Technique, *, fraction: float, metric: Metric) -> tuple[int, ...]:
    """The seeds with a score in one cell of a table, ascending."""
    return tuple(sorted(record.seed for record in _scored(comparison, technique, fraction, metric)))


def other_seeds(
    comparison: Comparison, techniques: Sequence[Technique], *, fraction: float, metric: Metric
) -> dict[Technique, tuple[int, ...]]:
    """The techniques of a column whose scored seeds are not those of most others, or of the one with most seeds."""
    seeds = {one: seeds_of(comparison, one, fraction=fraction, metric=metric) for one in techniques}
    known = Counter(own for own in seeds.values() if own)
    if len(known) < 2:
        return {}
    usual = max(known, key=lambda own: (known[own], len(own), own))
    return {one: own for one, own in seeds.items() if own and own != usual}


def seed_list(seeds: Sequence[int]) -> str:
    """`seed 1`, or `seeds 0, 2`."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}"


def _scored(comparison: Comparison, technique: Technique, fraction: float, metric: Metric) -> list[RunRecord]:
    return [record for record in comparison.at(technique, fraction) if score_of(record, metric) is not None]


def _key(record: RunRecord) -> tuple[int, str, int]:
    return record.seed, part_tested(record), record.labels.n


def _ahead(pairs: Sequence[RunPair], metric: Metric) -> bool:
    """Whether the first of the pairs have the better mean, or the same; not without any pair."""
    differences = [(score_of(a, metric) or 0.0) - (score_of(b, metric) or 0.0) for a, b in pairs]
    total = sum(differences) if metric.higher_is_better else -sum(differences)
    return bool(pairs) and total >= 0
