"""Weighted ridge regression for many strengths of its penalty from one decomposition.

    min  Σ_i w_i |B x_i + c - y_i|² + λ |B|²        over B (K, D) and c (K,)

With A the rows √w_i (x_i - x̄) and Y those of √w_i (y_i - ȳ), x̄ and ȳ the weighted means: B = Yᵀ (A Aᵀ + λ)⁻¹ A, or
B = Yᵀ A (Aᵀ A + λ)⁻¹, whichever matrix is smaller (Hastie et al. 2009, section 18.3.5).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class RidgePath:
    """The regressions of (N, K) targets on (N, D) features with (N,) weights above zero in sum, for any strength."""

    def __init__(self, x: Array, y: Array, weight: Array) -> None:
        total = weight.sum()
        self.x_mean, self.y_mean = weight @ x / total, weight @ y / total
        root = np.sqrt(weight)[:, None]
        a, target = root * (x - self.x_mean), root * (y - self.y_mean)
        self.dual = len(a) <= a.shape[1]
        squares, vectors = np.linalg.eigh(a @ a.T if self.dual else a.T @ a)
        self.squares = squares.clip(0)
        # B = (back · diag(1 / (s + λ)) · rotated)ᵀ
        self.back = a.T @ vectors if self.dual else vectors
        self.rotated = vectors.T @ (target if self.dual else a.T @ target)

    def solution(self, strength: float) -> tuple[Array, Array]:
        """(K, D) weights and (K,) biases for a strength λ above zero."""
        weights = (self.back @ (self.rotated / (self.squares + strength)[:, None])).T
        return weights, self.y_mean - weights @ self.x_mean
