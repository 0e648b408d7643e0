"""Logistic regression with L2 penalty on few labels, over a whole path of strengths and all folds at once.

    multi-class     Σ_i w_i CE(softmax(W x_i + b), y_i)             + λ/2 |W|²
    two classes     the same of one vector, σ(w x_i + b); rows ∓w/2 of W
    multi-label     Σ_i w_i Σ_k CE(σ(w_k x_i + b_k), y_ik)          + λ/2 |W|²

λ = 1/C of scikit-learn's `LogisticRegression`, whose solution this is. The bias is not penalised.

The solution lies in the span of the centred samples, so that X (N, D) is replaced by its coordinates there, (N, R) with
R < N, which changes no solution. In the basis of the principal axes, s_j² + λ bounds the Hessian up to a factor and
preconditions L-BFGS. All folds are solved together: they have the same X, and weight 0 for their held-out samples, so
that one matrix product serves all of them and gives the held-out logits too. Strengths are passed from the strongest to
the weakest, each from the solution before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError
from s4mi.maths.logistic_solver import Folded, Solution, negative_log_likelihood, solve

Floats = NDArray[np.float64]

STRENGTHS = tuple(float(10.0**exponent) for exponent in np.arange(1, -5.5, -0.5))
"""Default path, for features whose squared length is about 1 (standardised, divided by √D)."""
UNSEEN = -30.0
"""Logit of a class of a multi-class task that has no sample; such a class is not fitted."""
PATIENCE, GAIN = 2, 1e-3
"""Weaker strengths are not tried after this many in a row that lower the held-out loss by less than this."""
ROUGH, TIGHT = 1e-3, 1e-10
"""Tolerances of fits on folds and of the final fit; see `logistic_solver.solve`."""


@dataclass(frozen=True)
class LinearFit:
    """z = W x + b.

    Attributes:
        weight: (K, D). bias: (K,).
        fitted: (K,) whether a class had samples to fit (multi-label: positives and negatives); if not, its weights are
            0 and its bias a constant.
    """

    weight: Floats
    bias: Floats
    fitted: NDArray[np.bool_]

    def logits(self, x: NDArray[Any]) -> Floats:
        """(N, D) → (N, K)."""
        return np.asarray(x @ self.weight.T + self.bias, dtype=np.float64)


@dataclass(frozen=True)
class StrengthPath:
    """Held-out results of the strengths that were tried, the strongest first.

    Attributes:
        strengths: (P,).
        losses: (P,) mean held-out loss per unit of sample weight.
        logits: (P, N, K) held-out logits, NaN for samples that no fold holds out.
    """

    strengths: tuple[float, ...]
    losses: Floats
    logits: Floats

    @property
    def best(self) -> int:
        """Index of the smallest held-out loss; the strongest of equals."""
        return int(self.losses.argmin())

    @property
    def strength(self) -> float:
        """The chosen strength."""
        return self.strengths[self.best]


@final
class LogisticProblem:
    """Samples with labels, projected to their span once, for any number of fits."""

    def __init__(
        self,
        x: NDArray[Any],
        y: NDArray[Any],
        *,
        classes: int | None = None,
        sample_weight: NDArray[Any] | None = None,
        multilabel: bool = False,
    ) -> None:
        """Project the samples.

        Args:
            x: (N, D).
            y: (N,) class indices, or (N, K) 0/1 with `multilabel`, NaN where unknown, which has weight 0.
            classes: number of classes K; None: the greatest index + 1, at least 2.
            sample_weight: (N,), or (N, K) with `multilabel`; None: 1.

        Raises:
            S4miError: samples that are not finite, or labels that do not fit them.
        """
        self.x, self.multilabel = np.asarray(x, dtype=np.float64), multilabel
        if self.x.ndim != 2 or len(self.x) != len(y) or not len(y):
            raise S4miError(f"features {np.shape(x)} do not fit labels {np.shape(y)}; there must be one row for each")
        if not np.isfinite(self.x).all():
            raise S4miError("features to fit are not finite; compute them again in float32")
        self.count = y.shape[1] if multilabel else max(int(np.max(y)) + 1, 2) if classes is None else classes
        targets = np.asarray(y, dtype=np.float64) if multilabel else np.eye(self.count)[np.asarray(y)]
        self.binary = not multilabel and self.count == 2
        self.targets = targets[:, 1:] if self.binary else targets  # (N, columns)
        weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        known = ~np.isnan(self.targets)
        self.weight = np.where(known, weight[:, None] if weight.ndim == 1 else weight, 0.0)
        self.targets = np.where(known, self.targets, 0.0)
        self.mean = self.x.mean(axis=0)
        self.coordinates, self.basis = _span(self.x - self.mean)

    def fit(self, strength: float, *, start: Solution | None = None) -> LinearFit:
        """Return the head with this strength."""
        problem = self._folded([np.empty(0, dtype=np.int64)])
        return self._head(problem, solve(problem, strength, start=start, tolerance=TIGHT))

    def path(
        self,
        folds: Sequence[NDArray[np.int64]],
        strengths: Sequence[float] = STRENGTHS,
        *,
        tolerance: float = ROUGH,
    ) -> StrengthPath:
        """Return the held-out results of each strength, from the strongest on, until weaker ones gain no more.

        Args:
            folds: indices of the held-out samples of each fold, as `maths.folds.folds` returns them.
            tolerance: precision of the fits; see `logistic_solver.solve`.

        Raises:
            S4miError: there is no fold.
        """
        if not folds:
            raise S4miError("no fold to choose a strength by; give the strength")
        problem, solution = self._folded(folds), None
        losses: list[float] = []
        logits: list[Floats] = []
        ordered = sorted(strengths, reverse=True)
        for strength in ordered:
            solution = solve(problem, strength, start=solution, tolerance=tolerance)
            held_out = np.full((len(self.x), problem.columns), np.nan)
            for number, rows in enumerate(folds):
                held_out[rows] = solution.logits[rows, number]
            known = np.concatenate(list(folds))
            loss = negative_log_likelihood(
                held_out[known], self.targets[known], self.weight[known], softmax=problem.softmax
            )
            losses.append(loss / float(self.weight[known].sum()) * (problem.columns if problem.softmax else 1))
            logits.append(self._both(held_out))
            if len(losses) > PATIENCE and min(losses[-PATIENCE:]) > min(losses[:-PATIENCE]) - GAIN:
                break
        return StrengthPath(tuple(ordered[: len(losses)]), np.array(losses), np.stack(logits))

    def _folded(self, folds: Sequence[NDArray[np.int64]]) -> Folded:
        used = np.ones((len(self.x), len(folds)), dtype=bool)
        for number, rows in enumerate(folds):
            used[rows, number] = False
        weight = used[:, :, None] * self.weight[:, None, :]
        positives = (weight * self.targets[:, None, :]).sum(axis=0)
        totals = weight.sum(axis=0)
        softmax = not (self.multilabel or self.binary)
        if softmax:
            constant = np.where(positives > 0, np.nan, UNSEEN)
        else:
            constant = np.log((positives + 0.5) / (totals - positives + 0.5))  # of a class that has one value only
            constant[(positives > 0) & (positives < totals)] = np.nan
        return Folded(self.coordinates, self.targets, weight, constant, softmax=softmax)

    def _head(self, problem: Folded, solution: Solution) -> LinearFit:
        fitted = np.isnan(problem.constant[0])
        weight = np.where(fitted[:, None], solution.weight[:, 0].T @ self.basis, 0.0)
        bias = np.where(fitted, solution.bias[0] - weight @ self.mean, np.nan_to_num(problem.constant[0]))
        if self.binary:
            return LinearFit(
                np.concatenate([-weight / 2, weight / 2]), np.array([-bias[0] / 2, bias[0] / 2]), np.repeat(fitted, 2)
            )
        return LinearFit(weight, bias, fitted)

    def _both(self, logits: Floats) -> Floats:
        return np.concatenate([-logits / 2, logits / 2], axis=1) if self.binary else logits


def _span(x: Floats) -> tuple[Floats, Floats]:
    """Coordinates (N, R) of centred samples (N, D) along their principal axes, and these axes (R, D)."""
    samples, dimensions = x.shape
    if samples <= dimensions:
        values, vectors = np.linalg.eigh(x @ x.T)
    else:
        values, vectors = np.linalg.eigh(x.T @ x)
    kept = values > max(values.max(initial=0.0), 0.0) * 1e-12
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    if samples <= dimensions:
        basis = (x.T @ vectors / np.sqrt(values)).T
        return vectors * np.sqrt(values), basis
    return x @ vectors, vectors.T
