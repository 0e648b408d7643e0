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
    return np.array([_statistics(image) for image in images], dtype=np.float64).reshape(len(images), len(STATISTICS))


def _statistics(image: NDArray[np.uint8]) -> tuple[float, ...]:
    """Statistics of one image (H, W, 3), so that all of it stays in the processor's cache."""
    red, green, blue = (np.ascontiguousarray(image[..., channel]) for channel in range(3))
    largest, smallest = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    grey = (red.astype(np.float32) + green + blue) / 3
    detail = [float(np.abs(np.diff(grey, axis=axis)).mean()) for axis in (0, 1) if grey.shape[axis] > 1]
    height, width = grey.shape
    centre = grey[height // 4 : height - height // 4, width // 4 : width - width // 4]
    total, inner = float(grey.sum()), float(centre.sum())
    border = (total - inner) / (grey.size - centre.size) if centre.size < grey.size else 0.0
    return (
        *(float(channel.mean()) for channel in (red, green, blue)),
        float(grey.std()),
        float((largest - smallest).mean()),
        float(np.mean(detail)) if detail else 0.0,
        border - inner / centre.size,
    )


def mean_and_covariance(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (K,) and shrunk covariance (K, K) of at least two rows (N, K)."""
    return values.mean(axis=0), _shrunk(np.cov(values.T))


def distance(values: NDArray[np.float64], mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    """Mahalanobis distance of (K,) values."""
    away = values - mean
    return float(np.sqrt(away @ np.linalg.solve(covariance, away)))


def distances_of_left_out(values: NDArray[np.float64], *, most: int | None = None) -> NDArray[np.float64]:
    """Distance of each of at least three rows (N, K) from the others; of `most` evenly spaced rows, if given."""
    chosen = np.unique(np.linspace(0, len(values) - 1, min(most or len(values), len(values))).astype(int))
    count = len(values)
    away = values - values.mean(axis=0)
    left_out = away[chosen]
    # Without x, the mean moves by -(x - mean) / (N - 1) and the scatter loses (x - mean)(x - mean)^T N / (N - 1).
    scatter = away.T @ away - left_out[:, :, None] * left_out[:, None, :] * count / (count - 1)
    covariance = _shrunk(scatter / (count - 2))
    moved = left_out * count / (count - 1)
    solved = np.linalg.solve(covariance, moved[:, :, None])[:, :, 0]
    return np.asarray(np.sqrt((moved * solved).sum(axis=1)))


def _shrunk(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return covariances (…, K, K) with less weight off the diagonal, and with the variance of rounding."""
    unit = np.eye(covariance.shape[-1])
    return np.asarray((1 - SHRINKAGE) * covariance + SHRINKAGE * covariance * unit + ROUNDING * unit)
