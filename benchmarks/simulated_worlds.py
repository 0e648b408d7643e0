"""Drawn patients, seeds and learning curves whose true values are known, for `simulate_intervals.py`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Draw = Callable[[np.random.Generator, int], Floats]


def beta(a: float, b: float) -> Draw:
    return lambda rng, n: rng.beta(a, b, n)


def tight(rng: np.random.Generator, n: int) -> Floats:
    return np.clip(rng.normal(0.9, 0.03, n), 0, 1)


def with_misses(draw: Draw) -> Draw:
    """One score in ten is a miss, below 0.1."""

    def scores(rng: np.random.Generator, n: int) -> Floats:
        missed = rng.random(n) < 0.1
        return np.where(missed, rng.uniform(0, 0.1, n), draw(rng, n))

    return scores


def proportion(share: float) -> Draw:
    return lambda rng, n: (rng.random(n) < share).astype(np.float64)


SCORES: dict[str, Draw] = {
    "Beta(6, 2)": beta(6, 2),
    "Beta(8, 2), 10 % misses": with_misses(beta(8, 2)),
    "0.90 ± 0.03, 10 % misses": with_misses(tight),
    "0.90 ± 0.03": tight,
    "uniform": beta(1, 1),
    "right or wrong, 90 % right": proportion(0.9),
    "right or wrong, 70 % right": proportion(0.7),
}
"""Mean Dice or IoU of a patient, or whether one was classified correctly."""


def true_mean(draw: Draw) -> float:
    return float(draw(np.random.default_rng(99), 2_000_000).mean())


@dataclass(frozen=True)
class Clinic:
    """Patients of 1 to 4 images and one class, who are easy or hard, classified by one or two networks.

    Attributes:
        shares: of the classes. right: by network, the share of images of each class that it gets right.
        alike: share of patients and images on which the second network is as lucky as the first.
    """

    shares: tuple[float, ...]
    right: tuple[tuple[float, ...], ...]
    alike: float = 0.5

    def draw(self, rng: np.random.Generator, patients: int) -> tuple[Bools, list[Bools], NDArray[np.int64]]:
        """(N, K) truth, (N, K) predictions of each network, and (N,) patients."""
        k = len(self.shares)
        of_patient = rng.choice(k, patients, p=self.shares)
        patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
        truth = of_patient[patient]
        hard, luck = rng.random(patients), rng.random(len(patient))
        predictions = []
        for shares in self.right:
            own = np.where(rng.random(patients) < self.alike, hard, rng.random(patients))
            chance = np.where(rng.random(len(patient)) < self.alike, luck, rng.random(len(patient)))
            # A patient's own share of right answers is spread evenly by ± 0.2 around that of the class.
            share = np.clip(np.array(shares)[of_patient] + 0.4 * (own - 0.5), 0, 1)[patient]
            wrong = (truth + rng.integers(1, k, len(patient))) % k
            predictions.append(_one_hot(np.where(chance < share, truth, wrong), k))
        return _one_hot(truth, k), predictions, patient


def _one_hot(indices: NDArray[np.int64], k: int) -> Bools:
    return np.asarray(np.eye(k, dtype=bool)[indices])


CLINICS = {
    "a class one patient in ten has": Clinic((0.6, 0.3, 0.1), ((0.9, 0.8, 0.7), (0.85, 0.75, 0.6))),
    "equal classes": Clinic((0.34, 0.33, 0.33), ((0.8, 0.8, 0.8), (0.7, 0.7, 0.7))),
    "nearly always right": Clinic((0.6, 0.3, 0.1), ((0.97, 0.95, 0.9), (0.97, 0.95, 0.9))),
}

Curve = Callable[[Floats], Floats]


def power_law(top: float, slope: float, exponent: float) -> Curve:
    return lambda n: top - slope * n**-exponent


def broken(labels: tuple[float, ...], scores: tuple[float, ...]) -> Curve:
    """Straight in the logarithm between some numbers of labels."""
    return lambda n: np.interp(np.log(n), np.log(labels), scores)


CURVES: dict[str, Curve] = {
    "steep, 0.90 − 4 n^−0.9": power_law(0.90, 4.0, 0.9),
    "usual, 0.88 − 1.5 n^−0.5": power_law(0.88, 1.5, 0.5),
    "flat, 0.75 − 0.3 n^−0.4": power_law(0.75, 0.3, 0.4),
    "kinked at 40 and 80": broken((20, 40, 80, 200, 800), (0.50, 0.70, 0.72, 0.80, 0.83)),
    "late start, kinked at 40": broken((20, 40, 80, 200, 800), (0.50, 0.52, 0.70, 0.78, 0.83)),
    "straight in log n": lambda n: 0.3 + 0.1 * np.log(n),
}
LABELS = np.array([20.0, 40.0, 80.0, 200.0])


def labels_for(curve: Curve, score: float) -> float:
    """The fewest labels at which a curve reaches a score."""
    grid = np.geomspace(1, 1e5, 400_000)
    reached = curve(grid) >= score - 1e-12
    return float(grid[reached.argmax()]) if reached.any() else float("inf")
