"""Scores of one saliency map against the mask of its image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.maths.saliency import area_share, energy_inside, pointing_game
from s4mi.records import IGNORE


@dataclass(frozen=True)
class MaskScores:
    """Scores of a map against a mask; None if there is no mask or the score is undefined."""

    pointing: float | None = None
    energy: float | None = None
    area: float | None = None


def score_map(saliency: NDArray[np.float32], mask: Pixels | None, *, tolerance: float) -> MaskScores:
    """Score a map (H, W) against a mask (H, W) of class indices; inside is every class except 0, the background."""
    if mask is None:
        return MaskScores()
    known = mask != IGNORE
    inside = (mask > 0) & known
    return MaskScores(
        pointing=pointing_game(saliency, inside, known=known, tolerance=tolerance),
        energy=energy_inside(saliency, inside, known=known),
        area=area_share(inside, known=known),
    )
