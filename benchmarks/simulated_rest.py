"""Drawn annotations, strategies and distances, with the intervals that a report gives them.

Each function returns the intervals of `times` cases less what is true in each, so that all are to hold 0.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.crossed import crossed_mean, jackknife
from s4mi.maths.stats import Interval, mean_interval
from simulated_worlds import Draw, Floats

FAR = 2_000_000


def less(interval: Interval, truth: float) -> Interval:
    """An interval of the error."""
    if interval.low is None or interval.high is None:
        return replace(interval, mean=interval.mean - truth)
    return replace(interval, mean=interval.mean - truth, low=interval.low - truth, high=interval.high - truth)


def new_annotations(patients: int, rare: bool, size: int, times: int) -> list[Interval]:
    """What more labels bring, 0.04 on average: to all patients alike, exponentially, or 0.3 to one in ten alone.

    Args:
        rare: 0.01 to each patient, and 0.3 more to the one in ten who was missed before.
    """
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        own = 0.01 + 0.3 * (rng.random(patients) < 0.1) if rare else rng.exponential(0.04, patients)
        gains = own + rng.normal(0, 0.03, patients)
        scores = gains + rng.normal(0, 0.02, (size, 1)) + rng.normal(0, 0.05, (size, patients))
        made.append(less(_crossed(scores.mean(axis=1), scores), 0.04))
    return made


def strategies(size: int, times: int) -> list[Interval]:
    """A strategy of choosing labels less random choice, paired by seed, mean over 8 rounds, each like the last."""
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        luck = np.zeros(size)
        rounds = np.empty((8, size))
        for number in range(8):
            luck = 0.7 * luck + rng.normal(0, 0.02, size)
            rounds[number] = 0.03 * (number / 7) + luck * (1 - number / 10)
        made.append(less(mean_interval(rounds.mean(axis=0).tolist()), 0.015))
    return made


def distances(draw: Draw, size: int, times: int) -> list[Interval]:
    """HD95 or ASSD in pixels, over patients."""
    rng, names, truth = np.random.default_rng(size), [f"p{n}" for n in range(size)], _mean(draw)
    return [
        less(patient_interval(draw(rng, size).tolist(), names, rng=rng, limits=(0.0, np.inf), draws=600), truth)
        for _ in range(times)
    ]


@cache
def _mean(draw: Draw) -> float:
    return float(draw(np.random.default_rng(94), FAR).mean())


def _crossed(means: Floats, scores: Floats) -> Interval:
    """The interval over (S,) seeds and the patients of (S, G) differences."""
    rest = (scores.sum(axis=1, keepdims=True) - scores) / (scores.shape[1] - 1)
    influences = [jackknife({f"p{n}": value for n, value in enumerate(row)}) for row in rest.tolist()]
    return crossed_mean(means.tolist(), influences).interval()


def lognormal(rng: np.random.Generator, n: int) -> Floats:
    return np.asarray(8 * np.exp(rng.normal(0, 0.6, n)))


def heavy(rng: np.random.Generator, n: int) -> Floats:
    return np.asarray(8 * np.exp(rng.normal(0, 1.0, n)))


def far_misses(rng: np.random.Generator, n: int) -> Floats:
    """One patient in ten has a false spot far from the lesion."""
    return np.where(rng.random(n) < 0.1, rng.uniform(60, 120, n), lognormal(rng, n))


DISTANCES: dict[str, Draw] = {
    "log-normal, σ = 0.6": lognormal,
    "log-normal, σ = 1": heavy,
    "log-normal, one in ten far off": far_misses,
}
