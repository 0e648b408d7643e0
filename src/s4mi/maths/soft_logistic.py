"""Multinomial logistic regression on shares of classes instead of single classes.

    p_i       softmax(W x_i + b)
    minimise  -Σ_i Σ_k t_ik log p_ik / Σ_i Σ_k t_ik + λ/2 |W|²

t_ik ≥ 0 is the weight of class k in row i: the share of a token's pixels that have the class, times a class weight. It
is what scikit-learn's `LogisticRegression` minimises when row i is given once per class with the sample weight t_ik,
and C = 1 / (λ Σ t); for two classes, where it has one vector of weights, C = 2 / (λ Σ t).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_ITERATIONS = 500
TOLERANCE = 1e-5
"""Largest entry of the gradient at which the minimum counts as found."""


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


def fit_soft_logistic(
    features: Tensor, targets: Tensor, *, strength: float, start: LinearSoftmax | None = None
) -> LinearSoftmax:
    """Minimise the objective by L-BFGS, in the precision of the features.

    Args:
        features: (N, D). targets: (N, K), of which some are positive.
        strength: λ > 0.
        start: where to start; none: at 0. The minimum is the same.
    """
    shape = (targets.shape[1], features.shape[1])
    weight = (features.new_zeros(shape) if start is None else start.weight.clone()).requires_grad_()
    bias = (features.new_zeros(shape[0]) if start is None else start.bias.clone()).requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MOST_ITERATIONS,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        solver.zero_grad()
        value = _mean_cross_entropy(features @ weight.T + bias, targets) + strength / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        solver.step(objective)  # type: ignore[no-untyped-call]
    # The bias is determined up to a constant, which the solver's path would otherwise set.
    return LinearSoftmax(weight.detach(), bias.detach() - bias.detach().mean())


def regularisation_path(
    features: Tensor, targets: Tensor, *, strengths: Sequence[float]
) -> Iterator[tuple[float, LinearSoftmax]]:
    """Yield each strength with its fit, strongest first, each started from the one before."""
    fit: LinearSoftmax | None = None
    for strength in sorted(strengths, reverse=True):
        fit = fit_soft_logistic(features, targets, strength=strength, start=fit)
        yield strength, fit


def _mean_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return -(targets * logits.log_softmax(dim=1)).sum() / targets.sum()
