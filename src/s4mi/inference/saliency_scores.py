"""What saliency maps score against masks, and whether they depend on the weights at all."""

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
"""Mean rank correlation above which a map is said not to depend on the weights, if its interval is clear of 0 too.

Adebayo et al. give no threshold.
"""
UNMOVED = "the map hardly depends on the weights; do not read it as an explanation"

COLUMNS = (
    "image", "run", "technique", "method", "class", "probability", "pointing", "energy", "area", "randomised"
)  # fmt: skip


@dataclass(frozen=True)
class MaskScores:
    """What a map scores against a mask; None where there is no mask, or the score is not defined."""

    pointing: float | None = None
    energy: float | None = None
    area: float | None = None


@dataclass(frozen=True)
class MapScores:
    """One map: of whom, of which class, and what it scores; None where a score is not defined."""

    image: str
    run: str
    technique: str
    method: str
    label: str
    probability: float
    mask: MaskScores
    randomised: float | None


class MeanInterval(Frozen):
    """A mean over images with its 95 % interval, which one image does not give."""

    mean: float
    low: float | None
    high: float | None
    n: int


class MapSummary(Frozen):
    """One kind of map of one run. Images of one patient count as independent here, which they are not quite."""

    run: str
    technique: str
    method: str
    images: int
    pointing: MeanInterval | None = Field(description="share of maps whose greatest value is inside the mask")
    energy: MeanInterval | None = Field(description="share of the map that is inside the mask")
    area: MeanInterval | None = Field(
        description="share of the image that is inside: what chance gives in either score"
    )
    energy_above_area: MeanInterval | None = Field(description="mean of their differences, image by image")
    randomised: MeanInterval | None = Field(
        description="rank correlation with maps of the network with weights drawn anew"
    )
    warning: str


class ExplainSummary(Frozen):
    """What `s4mi explain` found, and how it was asked."""

    images: int
    failed: int
    synthetic: bool = Field(description="the images are drawn, not photographed")
    explained_class: str = Field(description="predicted, truth, or the name of the class")
    split: str
    tolerance: float
    seed: int
    maps: list[MapSummary]


def score_map(saliency: NDArray[np.float32], mask: Pixels | None, *, tolerance: float) -> MaskScores:
    """Score a map (H, W) against a mask (H, W) of class indices; inside is every class but 0, the background."""
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
    """A summary for each run and kind of map, in the order they come."""
    groups: dict[tuple[str, str, str], list[MapScores]] = {}
    for one in scores:
        groups.setdefault((one.run, one.technique, one.method), []).append(one)
    return [_summary(*names, members) for names, members in groups.items()]


def write_scores(scores: Sequence[MapScores], path: Path) -> None:
    """A row a map; an empty cell is a score that is not defined."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for one in scores:
            numbers = (one.probability, one.mask.pointing, one.mask.energy, one.mask.area, one.randomised)
            rows.writerow(
                [one.image, one.run, one.technique, one.method, one.label]
                + ["" if number is None else f"{number:.6f}" for number in numbers]
            )


def _summary(run: str, technique: str, method: str, members: Sequence[MapScores]) -> MapSummary:
    def mean(of: Callable[[MapScores], float | None]) -> MeanInterval | None:
        values = [value for one in members if (value := of(one)) is not None]
        if not values:
            return None
        interval = mean_interval(values)
        return MeanInterval(mean=interval.mean, low=interval.low, high=interval.high, n=interval.n)

    randomised = mean(lambda one: one.randomised)
    return MapSummary(
        run=run,
        technique=technique,
        method=method,
        images=len(members),
        pointing=mean(lambda one: one.mask.pointing),
        energy=mean(lambda one: one.mask.energy),
        area=mean(lambda one: one.mask.area),
        energy_above_area=mean(_above_area),
        randomised=randomised,
        warning=UNMOVED if randomised is not None and _unmoved(randomised) else "",
    )


def _unmoved(randomised: MeanInterval) -> bool:
    """One image has no interval and gives no verdict: two maps of a few places agree by chance easily."""
    return randomised.mean > SANITY_LIMIT and randomised.low is not None and randomised.low > 0


def _above_area(one: MapScores) -> float | None:
    energy, area = one.mask.energy, one.mask.area
    return None if energy is None or area is None else energy - area
