"""Drawn studies whose seeds are tested on the same patients, with the intervals that a report gives their mean scores.

Each function returns the intervals of `times` cases less what is true in each, so that all are to hold 0.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from s4mi.maths.crossed import crossed_mean, jackknife
from s4mi.maths.crossed_scores import crossed_score_interval
from s4mi.maths.patient_scores import patient_score, score_of_counts, scores_without_each
from s4mi.maths.stats import Interval, mean_interval
from simulated_rest import less
from simulated_worlds import Bools, Clinic, Draw, Floats

DRAWS = 600
OF_SEEDS, OF_RUNS = 0.02, 0.04
"""Standard deviations over seeds, and of single patients in single runs."""


def mean_scores(draw: Draw, patients: int, size: int, times: int, *, bounded: bool = True) -> list[Interval]:
    """Mean score per patient, which varies with patients as `draw` does, and by a little with seeds and single runs.

    Args:
        bounded: in [0, 1]; else a distance, whose variation is relative to it.
    """
    rng, made, truth = np.random.default_rng(size), [], _true_mean(draw, bounded)
    limits = (0.0, 1.0) if bounded else (0.0, np.inf)
    for _ in range(times):
        scores = _of_seeds(rng, draw, size, patients, bounded=bounded)
        without = (scores.sum(axis=1, keepdims=True) - scores) / (patients - 1)
        made.append(less(_interval(scores.mean(axis=1), without, limits), truth))
    return made


def clinic_scores(clinic: Clinic, name: str, patients: int, size: int, times: int) -> list[Interval]:
    """Macro F1 of classifiers of equal quality, one a seed, on the same patients."""
    rng = np.random.default_rng(size)
    made: list[Interval] = []
    seeds, truth = replace(clinic, right=(clinic.right[0],) * size), _true_score(clinic, name)
    while len(made) < times:
        labels, given, patient = seeds.draw(rng, patients)
        names = [f"p{n}" for n in patient]
        parts = [jackknife(scores_without_each(name, labels, one, names, multilabel=False)) for one in given]
        values = [_score(name, labels, one) for one in given]
        few = [patient_score(name, labels, one, names, multilabel=False, rng=rng, draws=DRAWS) for one in given]
        of_few = [one for one in few if one.few]
        made.append(less(crossed_score_interval(values, parts, of_few=of_few, draws=DRAWS), truth))
    return made


def pooled_iou(patients: int, slope: float, size: int, times: int) -> list[Interval]:
    """IoU of all pixels together, computed anew without each patient.

    Args:
        slope: how much easier large lesions are.
    """
    rng, truth, made = np.random.default_rng(size), _pooled_truth(slope), []
    for _ in range(times):
        area, iou = _segmented(rng, patients, size, slope)
        union = 2 * area / (1 + iou)
        overlap = iou * union
        all_overlap, all_union = (each.sum(axis=1, keepdims=True) for each in (overlap, union))
        rest = (all_overlap - overlap) / (all_union - union)
        made.append(less(_interval((all_overlap / all_union)[:, 0], rest, (0.0, 1.0)), truth))
    return made


def drops(here: int, there: int, size: int, times: int) -> list[Interval]:
    """Internal less external score over seeds and over the patients of both test sets."""
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        own, other = _drop_scores(rng, size, here, there)
        values = own.mean(axis=1) - other.mean(axis=1)
        parts = []
        for inside, outside in zip(own, other, strict=True):
            internal = jackknife(_without(inside, "internal"))
            external = jackknife(_without(outside, "external"))
            parts.append({**internal, **{name: -value for name, value in external.items()}})
        made.append(less(crossed_mean(values.tolist(), parts).interval().within(-1.0, 1.0), 8 / 10 - 6 / 9))
    return made


def drops_of_these(size: int, times: int) -> list[Interval]:
    """The drop between two test sets whose single results are unknown, over seeds."""
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        own, other = rng.beta(8, 2, 60).mean(), rng.beta(6, 3, 30).mean()
        run, alone = rng.normal(0, OF_SEEDS, size), rng.normal(0, OF_SEEDS, (2, size))
        drop = (own + run + alone[0]) - (other + run + alone[1])
        made.append(less(mean_interval(drop.tolist()).within(-1.0, 1.0), float(own - other)))
    return made


def members(size: int, times: int) -> list[Interval]:
    """Score of one member of an ensemble on one test set: the member differs from seed to seed as its run does."""
    rng, made = np.random.default_rng(size), []
    for _ in range(times):
        level = rng.uniform(0.6, 0.95)
        scores = np.clip(level + rng.normal(0, OF_SEEDS, size) + rng.normal(0, 0.01, size), 0, 1)
        made.append(less(mean_interval(scores.tolist(), limits=(0.0, 1.0)), level))
    return made


def _of_seeds(rng: np.random.Generator, draw: Draw, seeds: int, patients: int, *, bounded: bool) -> Floats:
    """(S, G) scores of the same patients in each seed."""
    base = draw(rng, patients)
    noise = rng.normal(0, OF_SEEDS, (seeds, 1)) + rng.normal(0, OF_RUNS, (seeds, patients))
    if not bounded:
        return np.asarray(base * np.exp(2 * noise))
    scores = base + noise
    return np.where(scores < 0, -scores, np.where(scores > 1, 2 - scores, scores))


@cache
def _true_mean(draw: Draw, bounded: bool) -> float:
    rng = np.random.default_rng(94)
    return float(np.mean([_of_seeds(rng, draw, 1, 10_000, bounded=bounded).mean() for _ in range(200)]))


@cache
def _true_score(clinic: Clinic, name: str) -> float:
    labels, given, _ = clinic.draw(np.random.default_rng(96), 400_000)
    return _score(name, labels, given[0])


def _score(name: str, truth: Bools, given: Bools) -> float:
    outcome = np.stack(
        [(~truth & ~given).sum(0), (~truth & given).sum(0), (truth & ~given).sum(0), (truth & given).sum(0)]
    )
    return float(score_of_counts(name, outcome.T.astype(np.float64), multilabel=False))


def _drop_scores(rng: np.random.Generator, seeds: int, here: int, there: int) -> tuple[Floats, Floats]:
    run = rng.normal(0, OF_SEEDS, (seeds, 1))
    sets = []
    for patients, base in ((here, rng.beta(8, 2, here)), (there, rng.beta(6, 3, there))):
        alone = rng.normal(0, OF_SEEDS, (seeds, 1)) + rng.normal(0, OF_RUNS, (seeds, patients))
        sets.append(base + run + alone)
    return sets[0], sets[1]


def _without(scores: Floats, prefix: str) -> dict[str, float]:
    rest = (scores.sum() - scores) / (len(scores) - 1)
    return {f"{prefix} {n}": value for n, value in enumerate(rest.tolist())}


def _segmented(rng: np.random.Generator, patients: int, seeds: int, slope: float) -> tuple[Floats, Floats]:
    """(1, G) areas and (S, G) IoU of predictions as large as the lesions."""
    z = rng.normal(0, 1, patients)
    logit = 1.4 + slope * z + rng.normal(0, 0.7, patients) + rng.normal(0, 0.12, (seeds, 1))
    return np.exp(0.7 * z)[None], 1 / (1 + np.exp(-(logit + rng.normal(0, 0.3, (seeds, patients)))))


@cache
def _pooled_truth(slope: float) -> float:
    """Of endless patients, the mean over seeds."""
    rng, scores = np.random.default_rng(95), []
    for _ in range(400):
        area, iou = _segmented(rng, 20_000, 1, slope)
        union = 2 * area / (1 + iou)
        scores.append(float((iou * union).sum() / union.sum()))
    return float(np.mean(scores))


def _interval(means: Floats, without: Floats, limits: tuple[float, float]) -> Interval:
    """The interval over (S,) seeds and the patients, given the (S, G) scores without each patient."""
    influences = [jackknife({f"p{n}": value for n, value in enumerate(row)}) for row in without.tolist()]
    return crossed_score_interval(means.tolist(), influences, limits=limits, draws=DRAWS)
