"""Patient-level confidence intervals and permutation tests of classification scores.

A score is a function of the four counts (TN, FP, FN, TP) of each class, and counts add up over patients. The scores of
thousands of bootstrap samples of patients are therefore one matrix product, and exact.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.paired import ENUMERATED, PairedTest
from s4mi.maths.ratio_bootstrap import FEW_PATIENTS, blocks, drawn_ratios, pseudo_patients, ratio_interval
from s4mi.maths.ratio_bootstrap import ends as ends_of
from s4mi.maths.stats import Interval

COUNTED: Final = ("f1_macro", "f1_micro", "recall_macro", "recall_micro", "balanced_accuracy")
"""Scores that are functions of the counts; others depend on probabilities."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """(N, K) predictions of two runs on the same images, their (N, K) truth, and the (N,) patients of the images.

    `known` (N, K) is whether the truth is known; None: all of it.
    """

    truth: Bools
    one: Bools
    other: Bools
    patients: Sequence[str]
    known: Bools | None = None


def score_of_counts(name: str, counts: Floats, *, multilabel: bool) -> Floats:
    """(..., K, 4) counts of TN, FP, FN and TP of each class → (...) the score of this name in `ClassificationScores`.

    Classes for which the score is 0 / 0 are left out of the mean; if none remains, the score is 0.

    Raises:
        ValueError: not a score of counts.
    """
    parts, wholes, jaccard = ratios_of_counts(name, counts, multilabel=multilabel)
    ratios = _quotient(2 * parts, parts + wholes) if jaccard else _quotient(parts, wholes)
    if name == "balanced_accuracy" and multilabel:  # without the classes that have only positives or negatives
        sensitivity, specificity = np.split(ratios, 2, axis=-1)
        ratios = (sensitivity + specificity) / 2
    return _mean(ratios)


def ratios_of_counts(name: str, counts: Floats, *, multilabel: bool) -> tuple[Floats, Floats, bool]:
    """(..., K, 4) counts → (..., R) parts and wholes whose ratios a score is the mean of, and whether F1 is meant.

    Raises:
        ValueError: not a score of counts.
    """
    tn, fp, fn, tp = (counts[..., i] for i in range(4))
    if name == "f1_macro":
        return tp, tp + fp + fn, True
    if name == "f1_micro":
        return tp.sum(-1, keepdims=True), (tp + fp + fn).sum(-1, keepdims=True), True
    if name == "recall_micro":
        return tp.sum(-1, keepdims=True), (tp + fn).sum(-1, keepdims=True), False
    if name == "recall_macro" or (name == "balanced_accuracy" and not multilabel):
        return tp, tp + fn, False
    if name == "balanced_accuracy":
        return np.concatenate([tp, tn], axis=-1), np.concatenate([tp + fn, tn + fp], axis=-1), False
    raise ValueError(f"{name} is not a score of counts; choose from {', '.join(COUNTED)}")


def patient_score(
    name: str,
    truth: Bools,
    predicted: Bools,
    patients: Sequence[str],
    *,
    multilabel: bool,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    known: Bools | None = None,
) -> Interval:
    """A score of (N, K) predictions with an interval for other patients, given the (N,) `patients` of the images.

    Patients are resampled with all their images, as in `ratio_bootstrap`; a class that no test image has, and that none
    was taken for, may have any score. `n` of the result is the number of patients.

    Args:
        known: (N, K) whether the truth is known; predictions of unknown labels count neither way. None: all is known.

    Raises:
        ValueError: no image, shapes that do not match, or not a score of counts.
    """
    index, g = _patient_index(patients)
    counts = _counts(truth, predicted, index, g, known)
    score = float(score_of_counts(name, counts.sum(axis=0), multilabel=multilabel))
    parts, wholes, jaccard = ratios_of_counts(name, counts, multilabel=multilabel)
    return ratio_interval(score, parts, wholes, rng=rng, jaccard=jaccard, draws=draws, level=level)


def paired_patient_scores(
    name: str,
    pairs: Sequence[PairedPredictions],
    *,
    multilabel: bool,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
) -> PairedTest:
    """Permutation test of two trained techniques on other patients, over pairs of runs with the same seed.

    The difference is the mean over seeds of one run's score less the other's. A patient is resampled, or has
    predictions exchanged, in all seeds together. The interval is that of `patient_score`, whose added patients the two
    techniques have half in common. Under the null hypothesis, the two predictions for a patient are exchangeable
    (Noreen 1989); p is the share of exchanges that leave the scores further apart, and half of those that leave them as
    far apart (mid-p). Two runs agree on most patients, which makes ties common and the test without mid-p far too
    careful (Fagerland, Lydersen & Laake 2013, for McNemar's test, which this is for a single image per patient). All
    2^G exchanges are enumerated for few patients G, `draws` random ones for many.

    Raises:
        ValueError: no pair, no image, shapes that do not match, or not a score of counts.
    """
    if not pairs:
        raise ValueError("at least one pair of runs is needed (given 0)")
    index, g = _patient_index([patient for pair in pairs for patient in pair.patients])
    indices = np.split(index, np.cumsum([len(pair.patients) for pair in pairs])[:-1])
    ones = [_counts(pair.truth, pair.one, own, g, pair.known) for pair, own in zip(pairs, indices, strict=True)]
    others = [_counts(pair.truth, pair.other, own, g, pair.known) for pair, own in zip(pairs, indices, strict=True)]

    def score(counts: Floats) -> Floats:
        return score_of_counts(name, counts, multilabel=multilabel)

    def mean_difference(left: Sequence[Floats], right: Sequence[Floats]) -> Floats:
        """(D, K, 4) counts of each seed → (D,) mean difference over the seeds."""
        differences = [score(one) - score(other) for one, other in zip(left, right, strict=True)]
        return np.asarray(np.stack(differences, axis=-1).mean(axis=-1), dtype=np.float64)

    everyone = np.ones((1, g))
    whole = mean_difference([_weighted(everyone, a) for a in ones], [_weighted(everyone, b) for b in others])
    difference = float(whole[0])
    if g < 2:
        return PairedTest(Interval(difference, None, None, g), p=None, effect=None)
    drawn = _drawn_differences(name, ones, others, multilabel=multilabel, rng=rng, draws=draws, level=level)
    few = g < FEW_PATIENTS
    interval = ends_of(difference, drawn, patients=g, few=few, limits=(-1.0, 1.0), level=level)
    margin = 1e-12 * abs(difference) + 1e-15  # so that rounding cannot tell ties apart
    as_extreme, tried = 0.0, 0
    for swap in _exchanges(rng, g, draws):
        left = [_weighted(1 - swap, a) + _weighted(swap, b) for a, b in zip(ones, others, strict=True)]
        right = [_weighted(swap, a) + _weighted(1 - swap, b) for a, b in zip(ones, others, strict=True)]
        apart = np.abs(mean_difference(left, right)) - abs(difference)
        as_extreme += float((apart > margin).sum()) + 0.5 * float((np.abs(apart) <= margin).sum())
        tried += len(swap)
    # The predictions as they are, and all of them exchanged, always count in full.
    p = (as_extreme + 1) / (tried if g <= ENUMERATED else tried + 1)
    return PairedTest(interval, p=1.0 if abs(difference) <= margin else min(1.0, p), effect=None)


def _drawn_differences(
    name: str,
    ones: Sequence[Floats],
    others: Sequence[Floats],
    *,
    multilabel: bool,
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> Floats:
    """(draws,) redrawn mean differences over the seeds, from their (G, K, 4) counts."""
    ratios = [
        (ratios_of_counts(name, one, multilabel=multilabel), ratios_of_counts(name, other, multilabel=multilabel))
        for one, other in zip(ones, others, strict=True)
    ]
    g, r = ratios[0][0][0].shape
    drawn = []
    for size in blocks(g, draws):
        weights = rng.standard_exponential(size=(size, g))
        best, worst = pseudo_patients(rng, size, r)
        best_too, worst_too = pseudo_patients(rng, size, r)
        best_too, worst_too = (best + best_too) / 2, (worst + worst_too) / 2
        differences = np.zeros(size)
        for (parts, wholes, jaccard), (other_parts, other_wholes, _) in ratios:
            left = drawn_ratios(parts, wholes, weights, best, worst, jaccard=jaccard, level=level)
            right = drawn_ratios(other_parts, other_wholes, weights, best_too, worst_too, jaccard=jaccard, level=level)
            differences += (left - right).mean(axis=1) / len(ratios)
        drawn.append(differences)
    return np.concatenate(drawn)


def scores_without_each(
    name: str,
    truth: Bools,
    predicted: Bools,
    patients: Sequence[str],
    *,
    multilabel: bool,
    known: Bools | None = None,
) -> dict[str, float]:
    """By patient, the score of the other patients' (N, K) predictions; empty with fewer than 2 patients.

    Args:
        known: (N, K) whether the truth is known; None: all of it.

    Raises:
        ValueError: no image, shapes that do not match, or not a score of counts.
    """
    index, g = _patient_index(patients)
    counts = _counts(truth, predicted, index, g, known)
    if g < 2:
        return {}
    scores = score_of_counts(name, counts.sum(axis=0) - counts, multilabel=multilabel)
    return dict(zip(sorted(set(map(str, patients))), scores.tolist(), strict=True))


def _patient_index(patients: Sequence[str]) -> tuple[NDArray[np.int64], int]:
    """(N,) index of the patient of each image, and the number of patients."""
    if not len(patients):
        raise ValueError("a score needs at least one image (given 0)")
    names, index = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
    return index.astype(np.int64), names.size


def _counts(truth: Bools, predicted: Bools, index: NDArray[np.int64], g: int, known: Bools | None = None) -> Floats:
    """(G, K, 4) counts of TN, FP, FN and TP of each patient and class."""
    if truth.shape != predicted.shape or truth.ndim != 2 or len(truth) != len(index):
        raise ValueError(
            f"truth and predictions must both be (N, K) (given {truth.shape} and {predicted.shape}, "
            f"{len(index)} images)"
        )
    outcome = 2 * truth.astype(np.int64) + predicted  # 0 TN, 1 FP, 2 FN, 3 TP
    k = truth.shape[1]
    cell = (index[:, None] * k + np.arange(k)) * 4 + outcome
    if known is not None:
        cell = cell[known]
    return np.bincount(cell.ravel(), minlength=g * k * 4).reshape(g, k, 4).astype(np.float64)


def _weighted(times: Floats, counts: Floats) -> Floats:
    """(D, G) multiplicities of patients, (G, K, 4) counts → (D, K, 4) counts of the samples."""
    g, k, four = counts.shape
    summed: Floats = (times @ counts.reshape(g, k * four)).reshape(len(times), k, four)
    return summed


def _exchanges(rng: np.random.Generator, g: int, draws: int) -> Iterator[Floats]:
    """(D, G) with 1 for patients whose predictions are exchanged, in blocks: all 2^G, or `draws` random ones."""
    if g <= ENUMERATED:
        yield np.array(list(itertools.product((0.0, 1.0), repeat=g)))
        return
    for size in blocks(g, draws):
        yield rng.integers(0, 2, size=(size, g)).astype(np.float64)


def _quotient(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN for 0 / 0."""
    quotient: Floats = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return quotient


def _mean(values: Floats) -> Floats:
    """Mean over the last axis, ignoring NaN; 0 if all are NaN."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1)
    mean: Floats = total / np.maximum(count, 1)
    return mean
