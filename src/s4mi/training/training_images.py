"""Describe a run's training images, from the decode cache."""

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.appearance import STATISTICS, appearance, distances_of_left_out, mean_and_covariance
from s4mi.records.training_images import Range, TrainingImages
from s4mi.training.prepare import Prepared

SAMPLED = 1000
"""Evenly spaced training images whose appearance is described, as it changes little with more."""
BLOCK = 64
LEFT_OUT = 200
"""Images that are left out one by one."""
QUANTILE, FACTOR = 0.95, 1.5
"""An image is unlike those of training if it is further from them than 1.5 times the 95 % of these are from the others.

With 10 to 40 training images of PH2, fundus or nuclei at 64 pixels, at most 5 % of other images of the same kind were,
and 71 to 100 % of other kinds; but of nuclei, for a run on fundus images (dark ones among them), only 1 to 3 %.
"""

_known: dict[str, NDArray[np.float64]] = {}
"""Statistics of the entries of the cache that this process used last, by its key; NaN where not computed."""


def describe_training_images(prepared: Prepared) -> TrainingImages:
    """Return sizes and appearance of the images of the training part; of one cut into tiles, the mean of its tiles."""
    rows = np.asarray(prepared.split.rows("train"), dtype=np.int64)
    sizes = prepared.cache.size[rows]  # of all of them, as they cost nothing
    if len(rows) > SAMPLED:
        rows = rows[np.linspace(0, len(rows) - 1, SAMPLED).astype(int)]
    values = _by_image(prepared, rows)
    few = len(values) < 3
    mean, covariance = (np.zeros(len(STATISTICS)), np.eye(len(STATISTICS))) if few else mean_and_covariance(values)
    return TrainingImages(
        images=len(rows),
        height=_range(sizes[:, 0]),
        width=_range(sizes[:, 1]),
        statistics=STATISTICS,
        mean=tuple(mean.tolist()),
        covariance=tuple(tuple(row) for row in covariance.tolist()),
        reach=0.0 if few else FACTOR * float(np.quantile(distances_of_left_out(values, most=LEFT_OUT), QUANTILE)),
    )


def _by_image(prepared: Prepared, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Statistics (R, K) of images, in the order of the rows."""
    cache = prepared.cache
    entries = cache.entries_of(rows)
    if not len(entries):
        return np.zeros((0, len(STATISTICS)))
    if cache.key not in _known:
        _known.clear()
        _known[cache.key] = np.full((len(cache.row), len(STATISTICS)), np.nan)
    known = _known[cache.key]
    new = entries[np.isnan(known[entries, 0])]
    for block in np.array_split(new, -(-len(new) // BLOCK)) if len(new) else ():
        known[block] = appearance(np.asarray(cache.images[block]))
    values = known[entries]
    _, image_of = np.unique(cache.row[entries], return_inverse=True)
    counts = np.bincount(image_of)[:, None]
    return np.asarray(np.stack([np.bincount(image_of, column) for column in values.T], axis=1) / counts)


def _range(values: NDArray[np.int64]) -> Range:
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
