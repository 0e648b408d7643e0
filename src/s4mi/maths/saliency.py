"""Scores of saliency maps: against a mask of what should matter, and against a map of a network that knows nothing.

    pointing game       is the map's greatest value inside the mask?     Zhang et al. 2018 (Excitation Backprop)
    energy inside       Σ_inside m / Σ m                                 Wang et al. 2020 (Score-CAM)
    area                inside / all: what a map without any idea scores in either of the two
    rank correlation    Spearman's ρ of two maps, pixel by pixel         Adebayo et al. 2018

Undefined is None, and is to be left out of a mean: a map that is zero everywhere points nowhere, a mask without
foreground holds nothing to point at, and ranks of a map with one value only say nothing.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.stats import spearmanr

Map = NDArray[np.float32] | NDArray[np.float64]
"""(H, W), not negative."""
Region = NDArray[np.bool_]
"""(H, W)."""


def pointing_game(saliency: Map, inside: Region, *, known: Region | None = None, tolerance: float = 0) -> float | None:
    """1 where the greatest value of the map lies inside the mask, 0 where it does not.

    Where several pixels share the greatest value, the share of them that are inside: what picking one of them scores on
    average. A hit may miss the mask by `tolerance` pixels. Code for everyday photographs of about 500 pixels allows 15
    (TorchRay); here it is none by default, because medical images come in all sizes and lesions may be smaller.

    Args:
        known: pixels that have an annotation; the others are not looked at.
    """
    saliency, inside = _looked_at(saliency, inside, known)
    if not _defined(saliency, inside):
        return None
    hit = inside if tolerance == 0 else distance_transform_edt(~inside) <= tolerance
    return float(np.mean(hit[saliency == saliency.max()]))


def energy_inside(saliency: Map, inside: Region, *, known: Region | None = None) -> float | None:
    """Share of the sum of the map that lies inside the mask, from 0 to 1.

    Args:
        known: pixels that have an annotation; the others are not looked at.
    """
    saliency, inside = _looked_at(saliency, inside, known)
    if not _defined(saliency, inside):
        return None
    total = saliency.sum(dtype=np.float64)
    return min(1.0, float(saliency.sum(dtype=np.float64, where=inside) / total))


def area_share(inside: Region, *, known: Region | None = None) -> float | None:
    """Share of the annotated pixels that are inside; None where there are none inside."""
    if known is not None:
        inside = inside & known
    count = int(inside.sum())
    return count / (inside.size if known is None else int(known.sum())) if count else None


def rank_correlation(left: Map, right: Map) -> float | None:
    """Spearman's ρ of two maps of one shape, from -1 to 1; None where one of them has a single value."""
    if left.shape != right.shape:
        raise ValueError(f"maps have the shapes {left.shape} and {right.shape}; compare maps of one size")
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    correlation = float(spearmanr(left, right, axis=None).statistic)
    return correlation if math.isfinite(correlation) else None


def _looked_at(saliency: Map, inside: Region, known: Region | None) -> tuple[Map, Region]:
    if saliency.shape != inside.shape:
        raise ValueError(f"the map is {saliency.shape} and the mask {inside.shape}; bring them to one size")
    if saliency.size and saliency.min() < 0:
        raise ValueError(f"the map holds {saliency.min()}; saliency is not negative")
    if known is None:
        return saliency, inside
    return np.where(known, saliency, 0), inside & known


def _defined(saliency: Map, inside: Region) -> bool:
    return bool(inside.any()) and bool(saliency.max() > 0)
