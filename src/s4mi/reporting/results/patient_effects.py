"""What each test patient adds to the score of a run, for intervals and tests over seeds and patients together.

Classification scores that are functions of counts, pooled IoU and Dice, which are functions of pixels, and means over
images or patients are computed anew without each patient, exactly. Runs of earlier versions stored no pixels of test
images; their pooled scores take the deviations of the mean per test image. Scores of ranks and distances between
probabilities, such as AUROC, have none, and are then judged over seeds alone.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from s4mi.maths.crossed import CrossedMean, crossed_mean, jackknife
from s4mi.maths.crossed_scores import crossed_score_interval
from s4mi.maths.patient_scores import COUNTED, scores_without_each
from s4mi.maths.stats import Interval
from s4mi.records import ImageScores, RunRecord
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.per_image import measured_field, patients_of
from s4mi.reporting.results.runs import ReportRun, RunKey, run_key
from s4mi.reporting.results.scores import Metric, score_of
from s4mi.reporting.results.test_predictions import patients_predicted, predictions_over_patients

POOLED = ("iou", "dice")
"""Scores of the pixels of all test images together."""
Influences = Mapping[RunKey, Mapping[str, float]]
"""By run, the influence of each test patient on its score; see `maths.crossed`."""
FewPatients = Mapping[RunKey, Interval]
"""By run, the interval of its score over few patients."""

SEEDS_ALONE = "seeds"


def judged_over(records: Sequence[RunRecord], metric: Metric, influences: Influences) -> str:
    """What the intervals and tests of these runs are over, in words."""
    known = [run_key(record) in influences for record in records if score_of(record, metric) is not None]
    if not any(known):
        return SEEDS_ALONE
    return f"{SEEDS_ALONE} and the test patients they share" + ("" if all(known) else ", where their scores are known")


def patient_influences(runs: Sequence[ReportRun], metric: Metric) -> dict[RunKey, dict[str, float]]:
    """Influence of each patient on the score of each run; runs for which it is unknown are left out."""
    found = {run_key(run.record): jackknife(_without_each(run, metric)) for run in runs}
    return {key: one for key, one in found.items() if one}


def influences_of(comparison: Comparison, runs: Sequence[ReportRun], metric: Metric) -> dict[RunKey, dict[str, float]]:
    """Influences of the runs of one comparison, of all `runs` of a report."""
    keys = {run_key(record) for record in comparison.records}
    return patient_influences([run for run in runs if run_key(run.record) in keys], metric)


def exact(run: ReportRun, metric: Metric) -> bool:
    """Whether the influences of a run are those on the score itself, not on a mean per image that stands for it."""
    return metric.name not in POOLED or run.predictions is not None or all(one.union for one in run.images)


def few_patients(runs: Sequence[ReportRun], metric: Metric) -> dict[RunKey, Interval]:
    """By run, the interval over patients of a score of classes, where patients or those of a class are few."""
    found = {}
    for run in runs:
        if run.predictions is not None and metric.name in COUNTED:
            interval = predictions_over_patients(run.predictions, metric, multilabel=run.record.task == "multilabel")
            if interval is not None and interval.few:
                found[run_key(run.record)] = interval
    return found


def crossed_score(
    records: Sequence[RunRecord], metric: Metric, influences: Influences, few: FewPatients | None = None
) -> Interval | None:
    """Mean score over the seeds of a cell, with its interval over seeds and patients; None without a score.

    Args:
        few: from `few_patients`.
    """
    return crossed_score_of(records, lambda record: score_of(record, metric), metric, influences, few)


def crossed_score_of(
    records: Sequence[RunRecord],
    value: Callable[[RunRecord], float | None],
    metric: Metric,
    influences: Influences,
    few: FewPatients | None = None,
) -> Interval | None:
    """The same of another score of each run, such as that on an external test set, and of its influences."""
    known = [(record, score) for record in records if (score := value(record)) is not None]
    if not known:
        return None
    parts = [influences.get(run_key(record)) for record, _ in known]
    scores, shared = [score for _, score in known], [part for part in parts if part] if all(parts) else []
    of_few = [one for record, _ in known if (one := (few or {}).get(run_key(record))) is not None]
    return crossed_score_interval(scores, shared, limits=metric.limits, of_few=of_few)


def crossed_difference(
    pairs: Sequence[tuple[RunRecord, RunRecord]], metric: Metric, influences: Influences
) -> CrossedMean | None:
    """Mean of first less second over pairs of runs with the same seed; None without a pair that has both scores."""
    differences: list[float] = []
    parts: list[dict[str, float] | None] = []
    for a, b in pairs:
        score_a, score_b = score_of(a, metric), score_of(b, metric)
        if score_a is None or score_b is None:
            continue
        differences.append(score_a - score_b)
        one, other = influences.get(run_key(a)), influences.get(run_key(b))
        parts.append(None if one is None or other is None else less(one, other))
    if not differences:
        return None
    return crossed_mean(differences, [part for part in parts if part is not None] if all(parts) else ())


def less(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """Influences on the difference of two scores; a patient that only one was tested on counts with that one."""
    return {patient: one.get(patient, 0.0) - other.get(patient, 0.0) for patient in {**one, **other}}


def _without_each(run: ReportRun, metric: Metric) -> dict[str, float]:
    """Score without each patient, the others kept."""
    if run.predictions is not None:
        if metric.name not in COUNTED:
            return {}
        return scores_without_each(
            metric.name,
            run.predictions.truth,
            run.predictions.decisions,
            patients_predicted(run.predictions),
            multilabel=run.record.task == "multilabel",
            known=run.predictions.known,
        )
    if metric.name in POOLED and exact(run, metric):
        return _pooled_without_each(run.images, metric)
    return _means_without_each(run.images, metric)


def _means_without_each(images: Sequence[ImageScores], metric: Metric) -> dict[str, float]:
    """The mean over classes of their means over images, or over patients, without each patient that has a value."""
    field = measured_field(metric)
    classes = [] if field is None else list(dict.fromkeys(name for one in images for name in getattr(one, field)))
    if field is None or not classes:
        return {}
    patients = patients_of(images)
    names = sorted(set(patients.values()))
    row = {name: n for n, name in enumerate(names)}
    sums, counts = np.zeros((2, len(names), len(classes)))
    for one in images:
        values = getattr(one, field)
        for k, name in enumerate(classes):
            if (value := values.get(name)) is not None:
                sums[row[patients[one.image]], k] += value
                counts[row[patients[one.image]], k] += 1
    valued = np.flatnonzero(counts.sum(axis=1))
    sums, counts, names = sums[valued], counts[valued], [names[n] for n in valued]
    if len(names) < 2:
        return {}
    if metric.name.endswith("_patient"):
        sums, counts = sums / counts.clip(1), np.minimum(counts, 1)
    total, count = sums.sum(axis=0) - sums, counts.sum(axis=0) - counts
    means = (total / count.clip(1)).sum(axis=1) / (count > 0).sum(axis=1).clip(1)
    return dict(zip(names, means.tolist(), strict=True))


def _pooled_without_each(images: Sequence[ImageScores], metric: Metric) -> dict[str, float]:
    """Pooled IoU or Dice, the mean over classes that truth or prediction have, without each patient."""
    patients = patients_of(images)
    names = sorted(set(patients.values()))
    if len(names) < 2:
        return {}
    classes = list(images[0].union)
    pixels = np.zeros((2, len(names), len(classes)), dtype=np.int64)
    row = {name: n for n, name in enumerate(names)}
    for one in images:
        pixels[:, row[patients[one.image]]] += [[of[name] for name in classes] for of in (one.overlap, one.union)]
    overlap, union = pixels.sum(axis=1, keepdims=True) - pixels
    part, whole = (overlap, union) if metric.name == "iou" else (2 * overlap, union + overlap)
    with np.errstate(invalid="ignore"):
        of_classes = part / whole
    known = whole > 0
    means = np.where(known, of_classes, 0.0).sum(axis=1) / known.sum(axis=1).clip(1)
    return dict(zip(names, means.tolist(), strict=True))
