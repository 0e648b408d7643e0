"""The curves of a simulation of rounds of annotation: what each strategy scores, and by how much it beats chance."""

from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.maths.stats import Interval, mean_interval

NAME = "simulation"
NUDGE = 0.012
"""Of the axis, by which the curves stand beside each other, so that their intervals can be told apart."""


@dataclass(frozen=True)
class RoundScore:
    """One round of one strategy with one seed: how many labels there were, and what the test images scored."""

    strategy: str
    seed: int
    round: int
    labels: int
    score: float


@dataclass(frozen=True)
class SimulationCurve:
    """A strategy: by round the number of labels, the score, and its difference to the reference over the same seeds.

    Attributes:
        differences: None for the reference itself, or where no seed is in both.
        gain: the same difference as a mean over all rounds after the start, one value a seed.
    """

    strategy: str
    labels: tuple[int, ...]
    scores: tuple[Interval, ...]
    differences: tuple[Interval | None, ...]
    gain: Interval | None


def curves_of(results: Sequence[RoundScore], *, reference: str) -> list[SimulationCurve]:
    """A curve for each strategy, in the order in which they first appear, of the rounds that any seed has played."""
    strategies = list(dict.fromkeys(result.strategy for result in results))
    score = {(one.strategy, one.round, one.seed): one.score for one in results}
    rounds = sorted({one.round for one in results})
    seeds = sorted({one.seed for one in results})
    curves = []
    for strategy in strategies:
        own = [number for number in rounds if any((strategy, number, seed) in score for seed in seeds)]
        labels = tuple(
            max(one.labels for one in results if (one.strategy, one.round) == (strategy, number)) for number in own
        )
        scores = [[score[strategy, n, seed] for seed in seeds if (strategy, n, seed) in score] for n in own]
        apart = {
            (n, seed): score[strategy, n, seed] - score[reference, n, seed]
            for n in own for seed in seeds
            if strategy != reference and (strategy, n, seed) in score and (reference, n, seed) in score
        }  # fmt: skip
        differences = [[apart[n, seed] for seed in seeds if (n, seed) in apart] for n in own]
        after = [n for n in own if n > 0]
        whole = [seed for seed in seeds if after and all((n, seed) in apart for n in after)]
        gains = [sum(apart[n, seed] for n in after) / len(after) for seed in whole]
        curves.append(
            SimulationCurve(
                strategy, labels, tuple(map(mean_interval, scores)),
                tuple(mean_interval(one) if one else None for one in differences),
                mean_interval(gains) if gains else None,
            )
        )  # fmt: skip
    return curves
