"""Multinomial logistic regression on shares of classes instead of single classes.

    p_i       softmax(W x_i + b)
    minimise  -Σ_i Σ_k t_ik log p_ik / Σ_i Σ_k t_ik + λ/2 |W|²

t_ik ≥ 0 is the weight of class k in row i: the share of a token's pixels that have the class, times a class weight. It
is what scikit-learn's `LogisticRegression` minimises when row i is given once per class with the sample weight t_ik,
and C = 1 / (λ Σ t); for two classes, where it has one vector of weights, C = 2 / (λ Σ t).

The solver is L-BFGS on preconditioned weights: along the principal axes of the rows, whose variances are s_j², each
weight is scaled by √(CURVATURE s_j² + λ), about the root of the objective's curvature along it. The penalty does not
change with a rotation, so that the axes serve every λ and every part of the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_ITERATIONS = 300
TOLERANCE = 3e-5
"""Largest entry of the preconditioned gradient at which the minimum counts as found."""
CURVATURE = 0.1
"""Typical p (1 - p) of a class."""


@dataclass(frozen=True)
class LinearSoftmax:
    """Weights (K, D) and bias (K,) of the logits."""

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """(N, D) → (N, K)."""
        return features @ self.weight.T + self.bias

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """The first term of the objective, a scalar, for (N, D) features and (N, K) weights of the classes."""
        return _mean_cross_entropy(self.logits(features), targets)


@final
class SoftLogistic:
    """Regressions on the same (N, D) features, in their precision."""

    def __init__(self, features: Tensor) -> None:
        self.features = features
        self._mean = features.mean(dim=0)
        centred = features - self._mean
        variances, self._axes = torch.linalg.eigh(centred.T @ centred / len(features))
        self._variances = variances.clamp_min(0)
        self._rows = centred @ self._axes

    def fit(self, targets: Tensor, *, strength: float, start: LinearSoftmax | None = None) -> LinearSoftmax:
        """Minimise the objective.

        Args:
            targets: (N, K), of which some are positive; rows of zeros have no effect.
            strength: λ > 0.
            start: where to start; none: at 0. The minimum is the same.
        """
        scale = (CURVATURE * self._variances + strength).rsqrt()
        rows = self._rows * scale
        weight, bias = rows.new_zeros(targets.shape[1], rows.shape[1]), rows.new_zeros(targets.shape[1])
        if start is not None:
            weight, bias = start.weight @ self._axes / scale, start.bias + start.weight @ self._mean
        weight.requires_grad_()
        bias.requires_grad_()
        solver = torch.optim.LBFGS(
            [weight, bias],
            max_iter=MOST_ITERATIONS,
            tolerance_grad=TOLERANCE,
            tolerance_change=0.0,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            solver.zero_grad()
            penalty = strength / 2 * (weight * scale).square().sum()
            value: Tensor = _mean_cross_entropy(rows @ weight.T + bias, targets) + penalty
            value.backward()  # type: ignore[no-untyped-call]
            return value

        with torch.enable_grad():
            solver.step(objective)  # type: ignore[no-untyped-call]
        found = (weight.detach() * scale) @ self._axes.T
        shift = bias.detach() - found @ self._mean
        # The bias is determined up to a constant, which the solver's path would otherwise set.
        return LinearSoftmax(found, shift - shift.mean())


def losses_on_folds(
    solver: SoftLogistic,
    targets: Tensor,
    groups: NDArray[np.int64],
    *,
    strengths: Sequence[float],
    folds: int,
    generator: np.random.Generator,
) -> dict[float, float]:
    """Mean cross-entropy of strengths on held-out groups; empty if there is one group alone, or nothing to score.

    A class is scored in the folds whose other groups have it, as no strength can be judged by a class that was not
    fitted. The strongest comes first and each fit starts from the one before. They end with the first that is worse
    than the best so far: the weaker the penalty, the longer a fit takes.

    Args:
        targets: (N, K). groups: (N,), which no fold separates.
        folds: their number; fewer if there are fewer groups.
    """
    drawn = generator.permutation(np.unique(groups))
    if len(drawn) < 2:
        return {}
    parts = [torch.from_numpy(np.isin(groups, fold)) for fold in np.array_split(drawn, min(folds, len(drawn)))]
    scored = [targets[part] * (targets[~part].sum(dim=0) > 0) for part in parts]
    totals = [float(each.sum()) for each in scored]
    # Where nothing is annotated on one side, there is nothing to fit or nothing to score.
    fits: dict[int, LinearSoftmax | None] = {n: None for n, total in enumerate(totals) if total > 0}
    if not fits:
        return {}
    losses: dict[float, float] = {}
    for strength in sorted(strengths, reverse=True):
        loss = 0.0
        for n, start in fits.items():
            held_out = parts[n].to(targets.device)
            fit = solver.fit(targets * ~held_out[:, None], strength=strength, start=start)
            loss += float(fit.loss(solver.features[held_out], scored[n])) * totals[n]
            fits[n] = fit
        losses[strength] = loss / sum(totals)
        if losses[strength] > min(losses.values()):
            break
    return losses


def _mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * logits.log_softmax(dim=1)).sum() / targets.sum()
