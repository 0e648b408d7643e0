"""Scores of saliency maps against masks, and their dependence on the network's weights."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from s4mi.inference.mask_scores import MaskScores
from s4mi.inference.mean_interval import MeanInterval, mean_of
from s4mi.inference.saliency_baselines import Baselines, Placed, baselines
from s4mi.maths.saliency import mean_rank_correlation
from s4mi.maths.stats import mean_interval
from s4mi.records import Frozen
from s4mi.records.atomic import replacing

SANITY_LIMIT = 0.5
"""Mean rank correlation above which a map counts as independent of the weights, if its interval also excludes 0.

Adebayo et al. give no threshold.
"""
WEIGHT_INDEPENDENT = "the map hardly depends on the weights; do not read it as an explanation"

SMALL = (16, 16)
"""Size at which maps of different images are compared to tell whether they are alike."""
ALIKE_LIMIT = 0.9
"""Mean rank correlation of the maps of different images above which they show the network and not the images."""
MIN_IMAGES = 3
"""Images from which that can be told."""
ALIKE = "the maps of all images are alike, so they say nothing of an image; do not read them as explanations"

Flaws = Mapping[tuple[str, str], str]
"""What is wrong with the maps of a run and kind, for those that have a flaw."""

COLUMNS = (
    "image", "run", "technique", "method", "class", "probability", "pointing", "energy", "area", "randomised"
)  # fmt: skip


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
    pointing_baselines: Baselines | None = Field(None, description="pointing game of what needs no look at a lesion")
    energy_baselines: Baselines | None = Field(None, description="energy inside of what needs no look at a lesion")
    randomised: MeanInterval | None = Field(
        description="rank correlation with the maps of the network with randomised weights"
    )
    warning: str

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What the comparison with the baselines says of each score, one sentence each."""
        scores = (("pointing game", self.pointing_baselines), ("energy inside", self.energy_baselines))
        return tuple(f"{name}: {found.verdict}" for name, found in scores if found is not None)


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


def without_scores(scores: Sequence[MapScores], flaws: Flaws) -> list[MapScores]:
    """Return the scores, those against masks removed for each run and kind of map that has a flaw."""
    return [replace(score, mask=MaskScores()) if (score.run, score.method) in flaws else score for score in scores]


def alike(maps: Sequence[NDArray[np.float32]]) -> bool:
    """Whether the maps of different images, all of one shape, are alike."""
    correlation = mean_rank_correlation(maps) if len(maps) >= MIN_IMAGES else None
    return correlation is not None and correlation > ALIKE_LIMIT


def summarise(
    scores: Sequence[MapScores],
    flaws: Flaws | None = None,
    placed: Mapping[tuple[str, str], Sequence[Placed]] | None = None,
) -> list[MapSummary]:
    """Summarise each kind of map of each run, in order of first appearance.

    Args:
        flaws: what is wrong with the maps of a run and kind, which then have no scores.
        placed: the maps of a run and kind with their masks, for the baselines of their scores.
    """
    groups: dict[tuple[str, str, str], list[MapScores]] = {}
    for score in scores:
        groups.setdefault((score.run, score.technique, score.method), []).append(score)
    flaw_of = flaws or {}
    summaries = []
    for (run, technique, method), members in groups.items():
        flaw = flaw_of.get((run, method), "")
        found = None if flaw else baselines((placed or {}).get((run, method), ()))
        summaries.append(_summary(run, technique, method, members, flaw, found))
    return summaries


def write_scores(scores: Sequence[MapScores], path: Path) -> None:
    """Write one row per map; an undefined score is an empty cell."""
    with replacing(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for score in scores:
            numbers = (score.probability, score.mask.pointing, score.mask.energy, score.mask.area, score.randomised)
            rows.writerow(
                [score.image, score.run, score.technique, score.method, score.label]
                + ["" if number is None else f"{number:.6f}" for number in numbers]
            )


def _summary(
    run: str,
    technique: str,
    method: str,
    members: Sequence[MapScores],
    flaw: str,
    found: tuple[Baselines, Baselines] | None,
) -> MapSummary:
    def mean(get: Callable[[MapScores], float | None], limits: tuple[float, float] = (0.0, 1.0)) -> MeanInterval | None:
        return mean_of((get(score) for score in members), limits)

    return MapSummary(
        run=run,
        technique=technique,
        method=method,
        images=len(members),
        pointing=mean(lambda score: score.mask.pointing),
        energy=mean(lambda score: score.mask.energy),
        area=mean(lambda score: score.mask.area),
        energy_above_area=mean(_energy_above_area, (-1.0, 1.0)),
        pointing_baselines=None if found is None else found[0],
        energy_baselines=None if found is None else found[1],
        randomised=mean(lambda score: score.randomised, (-1.0, 1.0)),
        warning="; ".join(filter(None, (flaw, _weights_warning([score.randomised for score in members])))),
    )


def _weights_warning(correlations: Sequence[float | None]) -> str:
    """Warn if the maps agree on it; a single image never does, as two small maps easily correlate by chance.

    The interval of the summary allows for images that nobody has seen; these few are judged by Student's.
    """
    known = [one for one in correlations if one is not None and one == one]
    if len(known) < 2:
        return ""
    interval = mean_interval(known)
    assert interval.low is not None
    return WEIGHT_INDEPENDENT if interval.mean > SANITY_LIMIT and interval.low > 0 else ""


def _energy_above_area(score: MapScores) -> float | None:
    energy, area = score.mask.energy, score.mask.area
    return None if energy is None or area is None else energy - area
