"""Scores of saliency maps: against a mask of the lesion, and against the map of a network with random weights.

    pointing game       whether the maximum of the map lies inside the mask      Zhang et al. 2018 (Excitation Backprop)
    energy inside       Σ_inside m / Σ m                                         Wang et al. 2020 (Score-CAM)
    area                share of pixels inside, the expected score of an uninformative map in both
    rank correlation    Spearman's ρ of two maps over pixels                     Adebayo et al. 2018

Undefined scores are None, to be left out of means: for a map that is zero everywhere, for a mask without foreground,
and for the rank correlation with a constant map.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.stats import rankdata, spearmanr

Map = NDArray[np.float32] | NDArray[np.float64]
"""(H, W) saliency map, not negative."""
Region = NDArray[np.bool_]
"""(H, W) mask."""


def pointing_game(saliency: Map, inside: Region, *, known: Region | None = None, tolerance: float = 0) -> float | None:
    """1 if the maximum of the map lies inside the mask, else 0.

    If several pixels share the maximum, the share of them that are inside, which is the expected score of a random
    choice. A hit may miss the mask by `tolerance` pixels. Code for natural images of about 500 pixels allows 15
    (TorchRay); the default here is 0, because medical images vary in size and lesions may be smaller.

    Args:
        known: annotated pixels; the others are ignored.
    """
    saliency, inside = _annotated(saliency, inside, known)
    if not _defined(saliency, inside):
        return None
    hit = inside if tolerance == 0 else distance_transform_edt(~inside) <= tolerance
    return float(np.mean(hit[saliency == saliency.max()]))


def energy_inside(saliency: Map, inside: Region, *, known: Region | None = None) -> float | None:
    """Share of the sum of the map that lies inside the mask, from 0 to 1.

    Args:
        known: annotated pixels; the others are ignored.
    """
    saliency, inside = _annotated(saliency, inside, known)
    if not _defined(saliency, inside):
        return None
    total = saliency.sum(dtype=np.float64)
    return min(1.0, float(saliency.sum(dtype=np.float64, where=inside) / total))


def area_share(inside: Region, *, known: Region | None = None) -> float | None:
    """Share of the annotated pixels that are inside; None for a mask without foreground."""
    if known is not None:
        inside = inside & known
    count = int(inside.sum())
    return count / (inside.size if known is None else int(known.sum())) if count else None


def rank_correlation(left: Map, right: Map) -> float | None:
    """Spearman's ρ of two maps of the same shape, from -1 to 1; None if one of them is constant."""
    if left.shape != right.shape:
        raise ValueError(f"maps must have the same shape (given {left.shape} and {right.shape})")
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    correlation = float(spearmanr(left, right, axis=None).statistic)
    return correlation if math.isfinite(correlation) else None


def mean_rank_correlation(maps: Sequence[Map]) -> float | None:
    """Mean of Spearman's ρ over all pairs of maps of one shape; None with fewer than two that are not constant."""
    ranks = [rankdata(one) for one in maps if one.max() > one.min()]
    if len(ranks) < 2:
        return None
    centred = np.stack(ranks) - np.mean(ranks[0])
    units = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    count = len(units)
    return float((np.square(units.sum(axis=0)).sum() - count) / (count * (count - 1)))


def _annotated(saliency: Map, inside: Region, known: Region | None) -> tuple[Map, Region]:
    """Map and mask with pixels without annotation set to 0."""
    if saliency.shape != inside.shape:
        raise ValueError(f"map and mask must have the same shape (given {saliency.shape} and {inside.shape})")
    if saliency.size and saliency.min() < 0:
        raise ValueError(f"saliency must not be negative (found {saliency.min()})")
    if known is None:
        return saliency, inside
    return np.where(known, saliency, 0), inside & known


def _defined(saliency: Map, inside: Region) -> bool:
    return bool(inside.any()) and bool(saliency.max() > 0)
