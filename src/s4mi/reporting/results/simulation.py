"""Learning curves of a simulated active-learning study: score of each strategy, and its gain over the reference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from s4mi.maths.paired import holm, paired_seeds
from s4mi.maths.stats import Interval, mean_interval

NAME = "simulation"
NUDGE = 0.012
"""Horizontal offset between curves, as a share of the axis, so that their intervals do not overlap."""


@dataclass(frozen=True)
class RoundScore:
    """One round of one strategy with one seed: number of labels and test score."""

    strategy: str
    seed: int
    round: int
    labels: int
    score: float


@dataclass(frozen=True)
class SimulationCurve:
    """Learning curve of a strategy: labels and score by round, and the difference to the reference over common seeds.

    Attributes:
        differences: None for the reference itself, and without a common seed.
        gain: mean difference over all rounds after the start, one value per seed.
        p: of Student's paired t-test of the gain, Holm-corrected for the number of strategies; None where there is no
            test: fewer than 2 seeds, or no spread between them.
        tests: strategies that are tested together.
    """

    strategy: str
    labels: tuple[int, ...]
    scores: tuple[Interval, ...]
    differences: tuple[Interval | None, ...]
    gain: Interval | None
    p: float | None = None
    tests: int = 0


def curves_of(
    results: Sequence[RoundScore], *, reference: str, limits: tuple[float, float] = (0.0, 1.0)
) -> list[SimulationCurve]:
    """Compute the curve of each strategy, in order of first appearance, over the rounds that any seed has finished.

    Args:
        limits: range of the scores, where intervals end.
    """
    apart = (limits[0] - limits[1], limits[1] - limits[0])
    strategies = list(dict.fromkeys(result.strategy for result in results))
    score = {(one.strategy, one.round, one.seed): one.score for one in results}
    rounds = sorted({one.round for one in results})
    seeds = sorted({one.seed for one in results})
    curves: list[SimulationCurve] = []
    for strategy in strategies:
        finished = [number for number in rounds if any((strategy, number, seed) in score for seed in seeds)]
        labels = tuple(
            max(one.labels for one in results if (one.strategy, one.round) == (strategy, number)) for number in finished
        )
        scores = [[score[strategy, n, seed] for seed in seeds if (strategy, n, seed) in score] for n in finished]
        difference = {
            (n, seed): score[strategy, n, seed] - score[reference, n, seed]
            for n in finished for seed in seeds
            if strategy != reference and (strategy, n, seed) in score and (reference, n, seed) in score
        }  # fmt: skip
        differences = [[difference[n, seed] for seed in seeds if (n, seed) in difference] for n in finished]
        later = [n for n in finished if n > 0]
        complete = [seed for seed in seeds if later and all((n, seed) in difference for n in later)]
        gains = [sum(difference[n, seed] for n in later) / len(later) for seed in complete]
        curves.append(
            SimulationCurve(
                strategy, labels, tuple(mean_interval(one, limits=limits) for one in scores),
                tuple(mean_interval(one, limits=apart) if one else None for one in differences),
                mean_interval(gains, limits=apart) if gains else None,
                paired_seeds(gains).p if gains else None,
            )
        )  # fmt: skip
    tests = sum(curve.p is not None for curve in curves)
    corrected = holm([curve.p for curve in curves])
    return [replace(curve, p=p, tests=tests) for curve, p in zip(curves, corrected, strict=True)]
