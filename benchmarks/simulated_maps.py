"""Drawn saliency maps: their scores less those of a centre blob, and less those of the maps of other images.

Each function returns the intervals of `times` cases less what is true, so that all are to hold 0.
"""

from functools import cache

import numpy as np

from s4mi.inference.mean_interval import mean_of
from s4mi.inference.saliency_baselines import DIFFERENCE
from s4mi.maths.saliency_baselines import mean_of_others
from s4mi.maths.stats import Interval
from simulated_rest import less
from simulated_worlds import Floats


def above_centre(pointing: bool, size: int, times: int) -> list[Interval]:
    """Score of a map less that of the centre blob, image by image; lesions lie more or less in the centre."""
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        own, centre = _scores(rng, size, pointing=pointing)
        made.append(_less(own - centre, _true_lead(pointing)))
    return made


def above_others(size: int, times: int) -> list[Interval]:
    """Energy inside the mask, less that of the maps of the other images on the same mask."""
    rng = np.random.default_rng(size)
    return [_less(_leads(rng, size), 0.25) for _ in range(times)]


def _leads(rng: np.random.Generator, images: int) -> Floats:
    easy, central = rng.uniform(0.1, 0.4, images), rng.uniform(-0.05, 0.05, images)
    scores = easy[:, None] + central + rng.normal(0, 0.03, (images, images))  # of the map of column j on mask i
    scores[np.diag_indices(images)] += 0.5 * rng.beta(2, 2, images)
    leads: Floats = np.diag(scores) - mean_of_others(scores)
    return leads


def _scores(rng: np.random.Generator, images: int, *, pointing: bool) -> tuple[Floats, Floats]:
    """Of the maps, and of the blob, which is right where the lesion is central."""
    central = rng.beta(4, 2, images)
    if pointing:  # a hit or a miss
        return (rng.random(images) < 0.9).astype(np.float64), (rng.random(images) < central).astype(np.float64)
    return rng.beta(6, 2, images), central * rng.uniform(0.8, 1, images)


@cache
def _true_lead(pointing: bool) -> float:
    own, centre = _scores(np.random.default_rng(93), 2_000_000, pointing=pointing)
    return float((own - centre).mean())


def _less(leads: Floats, truth: float) -> Interval:
    mean = mean_of(leads.tolist(), DIFFERENCE)
    assert mean is not None
    return less(Interval(mean.mean, mean.low, mean.high, mean.n, "patients" if mean.few else ""), truth)
