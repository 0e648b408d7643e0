"""Scores of saliency maps against masks, and their dependence on the network's weights."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from s4mi.data.formats.intensity import Pixels
from s4mi.maths.saliency import area_share, energy_inside, pointing_game
from s4mi.maths.stats import mean_interval
from s4mi.records import IGNORE, Frozen

SANITY_LIMIT = 0.5
"""Mean rank correlation above which a map counts as independent of the weights, if its interval also excludes 0.

Adebayo et al. give no threshold.
"""
WEIGHT_INDEPENDENT = "the map hardly depends on the weights; do not read it as an explanation"

COLUMNS = (
    "image", "run", "technique", "method", "class", "probability", "pointing", "energy", "area", "randomised"
)  # fmt: skip


@dataclass(frozen=True)
class MaskScores:
    """Scores of a map against a mask; None if there is no mask or the score is undefined."""

    pointing: float | None = None
    energy: float | None = None
    area: float | None = None


@dataclass(frozen=True)
class MapScores:
    """Scores of one saliency map: image, run, kind of map (`method`) and explained class (`label`).

    Attributes:
        randomised: rank correlation with the map of the network with randomised weights; None if undefined.
    """

    image: str
    run: str
    technique: str
    method: str
    label: str
    probability: float
    mask: MaskScores
    randomised: float | None


class MeanInterval(Frozen):
    """Mean over images with its 95 % interval, which is None for a single image."""

    mean: float
    low: float | None
    high: float | None
    n: int


class MapSummary(Frozen):
    """Summary of one kind of map of one run. Images of one patient are treated as independent, which is approximate."""

    run: str
    technique: str
    method: str
    images: int
    pointing: MeanInterval | None = Field(description="share of maps whose maximum is inside the mask")
    energy: MeanInterval | None = Field(description="share of the map's energy inside the mask")
    area: MeanInterval | None = Field(description="share of the image inside the mask: the chance level of both scores")
    energy_above_area: MeanInterval | None = Field(description="mean difference of energy and area, image by image")
    randomised: MeanInterval | None = Field(
        description="rank correlation with the maps of the network with randomised weights"
    )
    warning: str


class ExplainSummary(Frozen):
    """Results of `s4mi explain`, with its settings."""

    images: int
    failed: int
    synthetic: bool = Field(description="the images are drawn, not photographed")
    explained_class: str = Field(description="predicted, truth, or the name of the class")
    split: str
    tolerance: float
    seed: int
    maps: list[MapSummary]


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


def summarise(scores: Sequence[MapScores]) -> list[MapSummary]:
    """Summarise each kind of map of each run, in order of first appearance."""
    groups: dict[tuple[str, str, str], list[MapScores]] = {}
    for score in scores:
        groups.setdefault((score.run, score.technique, score.method), []).append(score)
    return [_summary(*names, members) for names, members in groups.items()]


def write_scores(scores: Sequence[MapScores], path: Path) -> None:
    """Write one row per map; an undefined score is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for score in scores:
            numbers = (score.probability, score.mask.pointing, score.mask.energy, score.mask.area, score.randomised)
            rows.writerow(
                [score.image, score.run, score.technique, score.method, score.label]
                + ["" if number is None else f"{number:.6f}" for number in numbers]
            )


def _summary(run: str, technique: str, method: str, members: Sequence[MapScores]) -> MapSummary:
    def mean(get: Callable[[MapScores], float | None]) -> MeanInterval | None:
        values = [value for score in members if (value := get(score)) is not None]
        if not values:
            return None
        interval = mean_interval(values)
        return MeanInterval(mean=interval.mean, low=interval.low, high=interval.high, n=interval.n)

    randomised = mean(lambda score: score.randomised)
    return MapSummary(
        run=run,
        technique=technique,
        method=method,
        images=len(members),
        pointing=mean(lambda score: score.mask.pointing),
        energy=mean(lambda score: score.mask.energy),
        area=mean(lambda score: score.mask.area),
        energy_above_area=mean(_energy_above_area),
        randomised=randomised,
        warning=WEIGHT_INDEPENDENT if randomised is not None and _weight_independent(randomised) else "",
    )


def _weight_independent(randomised: MeanInterval) -> bool:
    """Whether the interval shows it; a single image never does, as two small maps easily correlate by chance."""
    return randomised.mean > SANITY_LIMIT and randomised.low is not None and randomised.low > 0


def _energy_above_area(score: MapScores) -> float | None:
    energy, area = score.mask.energy, score.mask.area
    return None if energy is None or area is None else energy - area
