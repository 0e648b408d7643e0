"""What a saliency map must beat: a blob in the centre of the image, and the maps of other images.

    centre blob     a disc of the mask's area in the centre of the image, highest in its middle by a thousandth
    other images    score of the map of image j against the mask of image i, for all j ≠ i

Lesions are photographed in the centre, so that a map that is bright in the centre of every image scores far above the
area of the mask in both scores without having seen a lesion.

    above centre    paired differences over images, whose signs are flipped at random        p
    above others    mean of the scores, whose maps are permuted among the images             p
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.maths.saliency import Map, Region

SIDE = 64
"""Side at which maps of different images are compared, so that any number of them fits into memory."""
DRAWS = 9999
"""Random permutations, or sign flips."""

BLOCK = 2_000_000
"""Numbers drawn at a time."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class ReducedMap:
    """A map at 64 × 64.

    Attributes:
        energy: (4096,) values. at: indices of the cells that hold its maximum, all of them if there are several.
    """

    energy: NDArray[np.float32]
    at: NDArray[np.int64]


@dataclass(frozen=True)
class ReducedMask:
    """A mask at 64 × 64.

    Attributes:
        inside: (4096,) share of each cell inside the mask. hit: likewise, of the mask widened by the tolerance.
        known: (4096,) share that is annotated.
    """

    inside: NDArray[np.float32]
    hit: NDArray[np.float32]
    known: NDArray[np.float32]


def centre_blob(shape: tuple[int, int], area: float) -> NDArray[np.float32]:
    """(H, W) centred disc that has the share `area` of the pixels; the maximum is in the centre.

    Of a disc that is wider than the image, the radius grows until the visible part has that share.
    """
    y, x = (np.arange(size, dtype=np.float64) - (size - 1) / 2 for size in shape)
    away = np.hypot(y[:, None], x[None])
    count = max(1, round(area * away.size))
    radius = float(np.partition(away.ravel(), count - 1)[count - 1])
    return np.where(away <= radius, 1 + 1e-3 * (1 - away / (radius + 1)), 0).astype(np.float32)


def reduce_map(saliency: Map) -> ReducedMap:
    """Reduce a map (H, W); the place of its maximum is that at full size."""
    small = cv2.resize(np.asarray(saliency, dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    rows, columns = np.nonzero(saliency == saliency.max())
    height, width = saliency.shape
    cells = (rows * SIDE // height) * SIDE + columns * SIDE // width
    return ReducedMap(np.asarray(small, dtype=np.float32).ravel(), cells.astype(np.int64))


def reduce_mask(inside: Region, hit: Region, known: Region) -> ReducedMask:
    """Reduce a mask (H, W), the same widened by the tolerance, and what of it is annotated."""

    def small(region: Region) -> NDArray[np.float32]:
        resized = cv2.resize(region.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, dtype=np.float32).ravel()

    return ReducedMask(small(inside & known), small(hit & known), small(known))


def cross_scores(maps: Sequence[ReducedMap], masks: Sequence[ReducedMask]) -> tuple[Scores, Scores]:
    """(N, N) pointing game and energy inside of map j against mask i; NaN of maps that are zero where annotated."""
    energy = np.stack([one.energy for one in maps])
    inside, known = (np.stack([getattr(one, name) for one in masks]) for name in ("inside", "known"))
    total = known.astype(np.float64) @ energy.T
    shares = np.divide(inside.astype(np.float64) @ energy.T, total, out=np.full(total.shape, np.nan), where=total > 0)
    pointing = np.array([[mask.hit[one.at].mean() for one in maps] for mask in masks], dtype=np.float64)
    # Areas that OpenCV averages in single precision may exceed 1 by the last bit.
    return np.where(total > 0, np.minimum(pointing, 1), np.nan), np.minimum(shares, 1)


def mean_of_others(scores: Scores) -> Scores:
    """(N,) mean of each row without the diagonal; NaN for a single image, and for images without a score."""
    others = np.where(np.eye(len(scores), dtype=bool), np.nan, scores)
    known = ~np.isnan(others)
    count = known.sum(axis=1)
    return np.where(count > 0, np.where(known, others, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def permutation_p(scores: Scores, rng: np.random.Generator) -> float | None:
    """p-value of the mean of the diagonal of (N, N) scores, if maps were exchangeable among images; None below 3."""
    used = ~np.isnan(scores).any(axis=1) & ~np.isnan(scores).any(axis=0)
    square = scores[np.ix_(used, used)]
    n = len(square)
    if n < 3:
        return None
    observed = np.trace(square) - 1e-12
    reached, left = 0, DRAWS
    while left:
        draws = min(left, max(1, BLOCK // n))
        orders = rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
        reached += int((square[np.arange(n), orders].sum(axis=1) >= observed).sum())
        left -= draws
    return (reached + 1) / (DRAWS + 1)


def sign_flip_p(differences: Scores, rng: np.random.Generator) -> float | None:
    """One-sided p-value of a mean difference above 0, by random signs; None below 3 differences."""
    known = differences[~np.isnan(differences)]
    if len(known) < 3:
        return None
    signs = rng.integers(0, 2, size=(DRAWS, len(known))) * 2 - 1
    reached = int(((signs * known).sum(axis=1) >= known.sum() - 1e-12).sum())
    return (reached + 1) / (DRAWS + 1)
