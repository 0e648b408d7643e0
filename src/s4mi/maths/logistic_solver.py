"""Preconditioned L-BFGS for many weighted logistic regressions on the same samples (Nocedal & Wright, algorithm 7.5).

    f_F(W, b) = Σ_i w_iF CE(W_F x_i + b_F, y_i) + λ/2 |W_F|²     for each fold F

The logits are linear in W, so that a trial step t along D costs no matrix product: X (W + t D) = XW + t XD.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MEMORY = 10
"""Number of steps whose curvature is remembered."""
MOST_ITERATIONS = 1000
SUFFICIENT = 1e-4
"""Share of the predicted decrease that a step must reach (Armijo)."""
MOST_HALVINGS = 30


@dataclass(frozen=True)
class Folded:
    """Regressions of F folds on the same samples.

    Attributes:
        x: (N, R) samples along orthogonal axes.
        targets: (N, K) 0/1.
        weight: (N, F, K), 0 for held-out samples; of softmax the same for all K.
        constant: (F, K) logit of classes that are not fitted, else NaN.
        softmax: one softmax over the K, or K sigmoids.
    """

    x: Floats
    targets: Floats
    weight: Floats
    constant: Floats
    softmax: bool

    @property
    def columns(self) -> int:
        return int(self.targets.shape[1])


@dataclass(frozen=True)
class Solution:
    """Weights (R, F, K), biases (F, K) and the logits (N, F, K) of all samples."""

    weight: Floats
    bias: Floats
    logits: Floats


def solve(problem: Folded, strength: float, *, start: Solution | None, tolerance: float) -> Solution:
    """Minimise f of all folds.

    Args:
        strength: λ > 0.
        tolerance: a fold is done when its preconditioned gradient promises a decrease of at most tolerance · f.
    """
    x, folds, columns = problem.x, problem.weight.shape[1], problem.columns
    rank = x.shape[1]
    free = np.isnan(problem.constant)
    shape = (rank + 1, folds, columns)  # the last row is the bias
    w = np.zeros(shape) if start is None else np.concatenate([start.weight, start.bias[None]])
    logits = np.where(free, 0.0, problem.constant)[None] + np.zeros((len(x), 1, 1)) if start is None else start.logits
    if start is None:
        w[-1] = np.where(free, 0.0, problem.constant)
    bound = 0.5 if problem.softmax else 0.25
    curvature = np.empty((rank + 1, 1, 1))
    share = problem.weight.mean(axis=(1, 2)) @ np.square(x)  # Σ_i w_i x_ij², the mean over folds
    curvature[:rank, 0, 0] = bound * share + strength
    curvature[rank] = bound * problem.weight.sum(axis=0).mean()

    def gradient(w: Floats, logits: Floats) -> Floats:
        residual = problem.weight * (_probability(logits, problem.softmax) - problem.targets[:, None])
        residual *= free
        return np.concatenate(
            [
                (x.T @ residual.reshape(len(x), folds * columns)).reshape(rank, folds, columns) + strength * w[:-1],
                residual.sum(0)[None],
            ]
        )

    def value(w: Floats, logits: Floats) -> Floats:
        return np.asarray(_loss(logits, problem) + strength / 2 * np.square(w[:-1]).sum(axis=(0, 2)))

    g, f = gradient(w, logits), value(w, logits)
    memory: list[tuple[Floats, Floats, Floats]] = []
    for _ in range(MOST_ITERATIONS):
        active = (np.square(g) / curvature).sum(axis=(0, 2)) > 2 * tolerance * f
        if not active.any():
            break
        d = -_two_loops(g, memory, curvature) * active[:, None]
        slope = (g * d).sum(axis=(0, 2))
        dz = (x @ d[:-1].reshape(rank, folds * columns)).reshape(len(x), folds, columns) + d[-1]
        step, f = _line_search(w, logits, d, dz, f, slope, value)
        if not step.any():
            break
        moved = step[:, None] * d
        w, logits = w + moved, logits + step[:, None] * dz
        new = gradient(w, logits)
        change = new - g
        curved = (moved * change).sum(axis=(0, 2))
        memory = [
            *memory[-(MEMORY - 1) :],
            (moved, change, np.where(curved > 0, 1 / np.where(curved > 0, curved, 1), 0)),
        ]
        g = new
    return Solution(w[:-1], w[-1], logits)


def _two_loops(g: Floats, memory: list[tuple[Floats, Floats, Floats]], curvature: Floats) -> Floats:
    """H g with the inverse Hessian of the memory, from the preconditioner scaled to the last step's curvature."""
    q, factors = g.copy(), []
    for s, y, rho in reversed(memory):
        factor = rho * (s * q).sum(axis=(0, 2))
        q -= factor[:, None] * y
        factors.append(factor)
    q /= curvature
    if memory:
        _, y, rho = memory[-1]
        length = rho * (np.square(y) / curvature).sum(axis=(0, 2))
        q /= np.where(length > 0, length, 1)[:, None]
    for (s, y, rho), factor in zip(memory, reversed(factors), strict=True):
        q += (factor - rho * (y * q).sum(axis=(0, 2)))[:, None] * s
    return q


def _line_search(
    w: Floats,
    logits: Floats,
    d: Floats,
    dz: Floats,
    f: Floats,
    slope: Floats,
    value: Callable[[Floats, Floats], Floats],
) -> tuple[Floats, Floats]:
    """Step of each fold, halved until f decreases sufficiently, 0 where it cannot; and f there."""
    step = (slope < 0).astype(np.float64)
    for _ in range(MOST_HALVINGS):
        new = value(w + step[:, None] * d, logits + step[:, None] * dz)
        short = new > f + SUFFICIENT * step * slope
        if not short.any():
            return step, new
        step = np.where(short, step / 2, step)
    step = np.where(short, 0.0, step)
    return step, np.where(short, f, new)


def _probability(logits: Floats, softmax: bool) -> Floats:
    if softmax:
        exponential = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(exponential / exponential.sum(axis=-1, keepdims=True))
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)))


def _loss(logits: Floats, problem: Folded) -> Floats:
    """(F,) loss of each fold, without the penalty."""
    targets = problem.targets[:, None]
    if problem.softmax:
        top = logits.max(axis=-1)
        lse = np.log(np.exp(logits - top[..., None]).sum(axis=-1)) + top
        return np.asarray((problem.weight[..., 0] * (lse - (targets * logits).sum(axis=-1))).sum(axis=0))
    each = np.logaddexp(0, logits) - targets * logits
    return np.asarray((problem.weight * each).sum(axis=(0, 2)))


def negative_log_likelihood(logits: Floats, targets: Floats, weight: Floats, *, softmax: bool) -> float:
    """Weighted loss of (N, K) logits, without a penalty."""
    one = Folded(np.empty((len(logits), 0)), targets, weight[:, None], np.empty((1, 0)), softmax=softmax)
    return float(_loss(logits[:, None], one)[0])
