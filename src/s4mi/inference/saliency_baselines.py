"""Scores of saliency maps beside those of a centre blob and of the maps of other images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.ndimage import distance_transform_edt

from s4mi.data.formats.intensity import Pixels
from s4mi.inference.mask_scores import MaskScores, score_map
from s4mi.inference.mean_interval import MeanInterval, mean_of
from s4mi.maths.saliency_baselines import (
    ReducedMap,
    ReducedMask,
    Scores,
    centre_blob,
    cross_scores,
    mean_of_others,
    permutation_p,
    reduce_map,
    reduce_mask,
    sign_flip_p,
)
from s4mi.records import IGNORE, Frozen

LEVEL = 0.05
"""p-value below which a difference is beyond chance."""
SEED = 0
DIFFERENCE = (-1.0, 1.0)
"""Range of differences of scores."""


class Baselines(Frozen):
    """One score of the maps of a run and kind, against what needs no look at the lesion."""

    centre: MeanInterval = Field(description="score of a centre blob of the same area as the mask")
    above_centre: MeanInterval = Field(description="score above that of the centre blob, image by image")
    p_centre: float | None = Field(description="p-value of being above the centre blob; None below 3 images")
    others: MeanInterval | None = Field(description="score of the maps of the other images; None of a single image")
    above_others: MeanInterval | None = Field(description="score above that of the maps of the other images")
    p_others: float | None = Field(description="p-value of being above the maps of other images; None below 3 images")

    @property
    def beyond_chance(self) -> bool | None:
        """Whether the score is above both beyond chance; None if there are too few images to tell."""
        if self.p_centre is None or self.p_others is None:
            return None
        return self.p_centre < LEVEL and self.p_others < LEVEL

    @property
    def verdict(self) -> str:
        """What the comparison says, in a few words."""
        if self.p_centre is None or self.p_others is None:
            return "too few images to tell from a centre blob and from the maps of other images"
        failed = [
            name
            for name, p in (("a blob in the centre", self.p_centre), ("the maps of other images", self.p_others))
            if p >= LEVEL
        ]
        return f"not above {' and '.join(failed)} beyond chance" if failed else "above both beyond chance"


@dataclass(frozen=True)
class Placed:
    """A map with its mask, reduced so that it can be compared with the masks of other images.

    Attributes:
        pointing, energy: its own scores. centre: those of the centre blob, as (pointing, energy).
    """

    map: ReducedMap
    mask: ReducedMask
    pointing: float
    energy: float
    centre: tuple[float, float]


def place(saliency: NDArray[np.float32], mask: Pixels | None, scores: MaskScores, *, tolerance: float) -> Placed | None:
    """Return a map (H, W) with its mask (H, W) of class indices and its scores; None where these are undefined."""
    if mask is None or scores.area is None or scores.pointing is None or scores.energy is None:
        return None
    known = mask != IGNORE
    inside = (mask > 0) & known
    blob = centre_blob((mask.shape[0], mask.shape[1]), scores.area)
    of_blob = score_map(blob, mask, tolerance=tolerance)
    if of_blob.pointing is None or of_blob.energy is None:
        return None
    hit = inside if tolerance == 0 else np.asarray(distance_transform_edt(~inside) <= tolerance)
    reduced = reduce_mask(inside, hit, known)
    centre = of_blob.pointing, of_blob.energy
    return Placed(reduce_map(np.where(known, saliency, 0)), reduced, scores.pointing, scores.energy, centre)


def baselines(placed: Sequence[Placed]) -> tuple[Baselines, Baselines] | None:
    """Return the baselines of pointing game and energy inside over the images of a run and kind; None without any."""
    if not placed:
        return None
    rng = np.random.default_rng(SEED)
    pointing, energy = cross_scores([one.map for one in placed], [one.mask for one in placed])
    own = ([one.pointing for one in placed], [one.energy for one in placed])
    first, second = (
        _compare(np.array(own[k]), np.array([one.centre[k] for one in placed]), matrix, rng)
        for k, matrix in enumerate((pointing, energy))
    )
    return first, second


def _compare(own: Scores, centre: Scores, matrix: Scores, rng: np.random.Generator) -> Baselines:
    # Own and other maps are compared at the same reduced size; with the blob, at full size.
    others, above_centre = mean_of_others(matrix), own - centre
    above_others = np.diag(matrix) - others
    of_centre, difference = mean_of(centre), mean_of(above_centre, DIFFERENCE)
    assert of_centre is not None
    assert difference is not None
    return Baselines(
        centre=of_centre,
        above_centre=difference,
        p_centre=sign_flip_p(above_centre, rng),
        others=mean_of(others),
        above_others=mean_of(above_others, DIFFERENCE),
        p_others=permutation_p(matrix, rng),
    )
