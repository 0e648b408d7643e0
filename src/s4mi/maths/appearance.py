"""What images look like on the whole: seven statistics of network inputs, and how far an image is from others."""

import numpy as np
from numpy.typing import NDArray

STATISTICS = ("red", "green", "blue", "contrast", "colour", "detail", "border")
SHRINKAGE = 0.1
"""Weight of the diagonal in covariances, as they are of few images."""
ROUNDING = 4.0
"""Variance added to each statistic, in squared grey levels, so that equal images may differ a little."""


def appearance(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Statistics (N, 7) of images (N, H, W, 3), all in grey levels.

    Mean red, green and blue; standard deviation of the grey values; mean difference of the largest and smallest
    channel; mean absolute difference of neighbouring grey values; mean grey of the outer quarters less the centre's.
    """
    values = images.astype(np.float32)
    grey = values.mean(axis=3)
    detail = [np.abs(np.diff(grey, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2) if grey.shape[axis] > 1]
    height, width = grey.shape[1:]
    inner = np.zeros((height, width), dtype=bool)
    inner[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    outer = grey[:, ~inner].mean(axis=1) if not inner.all() else np.zeros(len(images))
    columns = [
        *values.mean(axis=(1, 2)).T,
        grey.std(axis=(1, 2)),
        (values.max(axis=3) - values.min(axis=3)).mean(axis=(1, 2)),
        np.mean(detail, axis=0) if detail else np.zeros(len(images)),
        outer - grey[:, inner].mean(axis=1),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def mean_and_covariance(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (K,) and shrunk covariance (K, K) of at least two rows (N, K)."""
    covariance = np.cov(values.T)
    diagonal = np.diag(np.diag(covariance))
    regular = (1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal + ROUNDING * np.eye(len(covariance))
    return values.mean(axis=0), np.asarray(regular)


def distance(values: NDArray[np.float64], mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Mahalanobis distance of (K,) values."""
    away = values - mean
    return float(np.sqrt(away @ np.linalg.solve(covariance, away)))


def distances_of_left_out(values: NDArray[np.float64], *, most: int | None = None) -> NDArray[np.float64]:
    """Distance of each of at least three rows (N, K) from the others; of `most` evenly spaced rows, if given."""
    chosen = np.unique(np.linspace(0, len(values) - 1, min(most or len(values), len(values))).astype(int))
    return np.array([distance(values[n], *mean_and_covariance(np.delete(values, n, axis=0))) for n in chosen])
