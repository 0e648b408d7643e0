"""The metrics a report can show: name, rounding, range, and which way is better."""

import math
from dataclasses import dataclass

from s4mi.errors import S4miError, nearest
from s4mi.maths.all_positive import all_positive_f1_macro
from s4mi.maths.stats import Interval
from s4mi.records import ClassificationScores, RunRecord, TaskKind

TASK_NAMES: dict[TaskKind, str] = {
    "multiclass": "multi-class classification",
    "multilabel": "multi-label classification",
    "segmentation": "segmentation",
}

MISSING = "–"
MAJORITY = "majority baseline"
ALL_POSITIVE = "all-positive baseline"


@dataclass(frozen=True)
class Metric:
    """One metric of a run.

    Attributes:
        name: field of `ClassificationScores` or `SegmentationScores`, and column name in a CSV.
        label: display name.
        digits: decimals to print.
        bounded: in [0, 1].
        higher_is_better: False for distances and errors.
    """

    name: str
    label: str
    digits: int = 3
    bounded: bool = True
    higher_is_better: bool = True

    @property
    def limits(self) -> tuple[float, float]:
        """Range of the score, where its intervals end."""
        return (0.0, 1.0) if self.bounded else (0.0, math.inf)

    @property
    def difference_limits(self) -> tuple[float, float]:
        """Range of the difference of two such scores."""
        return (-1.0, 1.0) if self.bounded else (-math.inf, math.inf)

    @property
    def per_class(self) -> str:
        """Field of `ClassScores` that holds this score for one class."""
        return self.name.removesuffix("_macro").removesuffix("_micro")


CLASSIFICATION = (
    Metric("f1_macro", "macro F1"),
    Metric("recall_macro", "macro recall"),
    Metric("f1_micro", "micro F1"),
    Metric("recall_micro", "micro recall"),
    Metric("balanced_accuracy", "balanced accuracy"),
    Metric("auroc", "AUROC"),
    Metric("average_precision", "average precision"),
    Metric("calibration_error", "calibration error", higher_is_better=False),
)
SEGMENTATION = (
    Metric("iou", "IoU"),
    Metric("dice", "Dice"),
    Metric("iou_image", "IoU per image"),
    Metric("dice_image", "Dice per image"),
    Metric("iou_patient", "IoU per patient"),
    Metric("dice_patient", "Dice per patient"),
    Metric("hd95", "HD95 (px)", digits=1, bounded=False, higher_is_better=False),
    Metric("assd", "ASSD (px)", digits=1, bounded=False, higher_is_better=False),
    Metric("pixel_accuracy", "pixel accuracy"),
)


def metrics_of(task: TaskKind) -> tuple[Metric, ...]:
    """Every metric of a task, the primary one first."""
    return SEGMENTATION if task == "segmentation" else CLASSIFICATION


def metric_of(task: TaskKind, name: str | None = None) -> Metric:
    """The metric called `name`, or the primary one of the task: macro F1 for classification, IoU for segmentation.

    Raises:
        S4miError: the task has no such metric.
    """
    known = {metric.name: metric for metric in metrics_of(task)}
    if name is None:
        return metrics_of(task)[0]
    if name not in known:
        raise S4miError(f"unknown metric {name!r}: {TASK_NAMES[task]} has {', '.join(known)}{nearest(name, known)}")
    return known[name]


def score_of(record: RunRecord, metric: Metric) -> float | None:
    """The test score; None where the run was not tested or the score is undefined, never a validation score."""
    return defined(getattr(record.test, metric.name, None))


def defined(value: float | None) -> float | None:
    """The score; None where it is undefined, also in records that hold NaN or infinity, of which there is no mean."""
    return None if value is None or not math.isfinite(value) else float(value)


def class_value(record: RunRecord, metric: Metric, *, class_name: str) -> float | None:
    """The test score of one class, or None."""
    scores = record.test.per_class.get(class_name) if record.test else None
    return defined(getattr(scores, metric.per_class, None))


def majority_value(record: RunRecord, metric: Metric) -> float | None:
    """Test score of always predicting the most frequent labelled training class; known for macro F1 alone."""
    if record.test is None or record.test.kind != "classification" or metric.name != "f1_macro":
        return None
    return record.test.majority_f1_macro


def baseline_value(record: RunRecord, metric: Metric) -> float | None:
    """Test score of the baseline without training that `baseline_name` names; known for macro F1 alone.

    That of multi-label tasks follows from the counts of any record, also of those that only have the majority's.
    """
    value = majority_value(record, metric)
    if value is None or record.task != "multilabel" or not isinstance(record.test, ClassificationScores):
        return value
    return all_positive_f1_macro(record.test.confusion)


def baseline_name(task: TaskKind) -> str:
    """Name of the baseline without training: it always predicts the majority class, or, of several, every class."""
    return ALL_POSITIVE if task == "multilabel" else MAJORITY


def spread(interval: Interval | None, *, digits: int, signed: bool = False) -> str:
    """` ± 0.034`, or ` (0.580–0.631)` where it is not symmetric, ` (at least 4.1)` without end; empty if unknown.

    Args:
        signed: the interval is of a difference, and its ends are printed as ` (−0.012 to +0.034)`.
    """
    if interval is None or interval.low is None or interval.high is None or interval.of_equals:
        return ""  # of equal scores no interval is known
    if interval.symmetric:
        return f" ± {interval.half_width:.{digits}f}"
    if signed:
        return f" ({interval.low:+.{digits}f} to {interval.high:+.{digits}f})".replace("-", "−")
    return f" ({ends(interval.low, interval.high, digits=digits)})"


def ends(low: float, high: float, *, digits: int, to: str = "–") -> str:
    """`0.580–0.631`, or `at least 0.580` where there is no upper end."""
    return f"at least {low:.{digits}f}" if math.isinf(high) else f"{low:.{digits}f}{to}{high:.{digits}f}"


def percent(fraction: float) -> str:
    """A label fraction in percent: `10 %`."""
    return f"{fraction:.4g} %"
