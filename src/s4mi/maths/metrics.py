"""Scores of classification and segmentation.

Classification scores come from torchmetrics, surface distances from MONAI. This module defines where tools disagree:
how empty masks, absent classes and ignored pixels count. `records.SegmentationScores` states the rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.maths.calibration import THRESHOLD, calibration_error
from s4mi.records import IGNORE, ClassificationScores, ClassScores, ImageScores, SegmentationScores


def score_multiclass(
    probabilities: Tensor, truth: Tensor, classes: Sequence[str], *, majority: int
) -> ClassificationScores:
    """Score (N, K) probabilities against (N,) int64 truth; `majority` is the most frequent labelled training class."""
    from torchmetrics.functional import classification as tm  # imports SciPy, Transformers and Matplotlib

    k = len(classes)
    predicted = probabilities.argmax(dim=1)
    present = torch.bincount(truth, minlength=k) > 0
    per_class = _per_class(_one_hot(predicted, k), probabilities, _one_hot(truth, k), classes)
    recall = tm.multiclass_recall(predicted, truth, k, average="none")
    accuracy = float(tm.multiclass_accuracy(predicted, truth, k, average="micro"))
    return ClassificationScores(
        images=len(truth),
        f1_micro=float(tm.multiclass_f1_score(predicted, truth, k, average="micro")),
        f1_macro=_f1_macro(per_class),
        recall_micro=accuracy,
        recall_macro=float(recall[present].mean()),
        balanced_accuracy=float(recall[present].mean()),
        auroc=_mean([scores.auroc for scores in per_class.values()]),
        average_precision=_mean([scores.average_precision for scores in per_class.values()]),
        calibration_error=_calibration_error(probabilities, truth, multilabel=False),
        majority_f1_macro=_f1_macro(
            _per_class(_one_hot(torch.full_like(truth, majority), k), None, _one_hot(truth, k), classes)
        ),
        per_class=per_class,
        confusion=tm.multiclass_confusion_matrix(predicted, truth, k).tolist(),
    )


def score_multilabel(
    probabilities: Tensor, truth: Tensor, classes: Sequence[str], *, majority: Tensor
) -> ClassificationScores:
    """Score (N, K) probabilities, thresholded at 1/2, against (N, K) 0/1 truth, of which -1 is unknown and left out.

    Balanced accuracy is the mean of sensitivity and specificity, averaged over classes.

    Args:
        majority: (K,) whether most labelled training images have each class.
    """

    labels = truth.long()
    predicted = (probabilities > THRESHOLD).long()
    per_class = _per_class(predicted, probabilities, labels, classes)
    # Counted here, as torchmetrics refuses a single label, which a data set may have.
    seen, missed = predicted == 1, predicted == 0
    counts = torch.stack(
        [(missed & (labels == 0)).sum(0), (seen & (labels == 0)).sum(0),
         (missed & (labels == 1)).sum(0), (seen & (labels == 1)).sum(0)], dim=1,
    )  # fmt: skip
    tn, fp, fn, tp = counts.double().unbind(1)
    all_tp, all_wrong = float(tp.sum()), float((fp + fn).sum())
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return ClassificationScores(
        images=len(labels),
        f1_micro=2 * all_tp / (2 * all_tp + all_wrong) if all_tp + all_wrong else 0.0,
        f1_macro=_f1_macro(per_class),
        recall_micro=all_tp / float((tp + fn).sum()) if all_tp else 0.0,
        recall_macro=_nanmean(sensitivity.tolist()) or 0.0,
        balanced_accuracy=_nanmean(((sensitivity + specificity) / 2).tolist()) or 0.0,
        auroc=_mean([scores.auroc for scores in per_class.values()]),
        average_precision=_mean([scores.average_precision for scores in per_class.values()]),
        calibration_error=_calibration_error(probabilities, labels, multilabel=True),
        majority_f1_macro=_f1_macro(_per_class(majority.long().expand_as(labels), None, labels, classes)),
        per_class=per_class,
        confusion=counts.tolist(),
    )


def _calibration_error(probabilities: Tensor, truth: Tensor, *, multilabel: bool) -> float:
    """As `calibration.json` has it: another library's bin edges, which differ in the last bit, give another number."""
    arrays = probabilities.detach().cpu().float().numpy(), truth.cpu().numpy()
    return calibration_error(*arrays, multilabel=multilabel)


def _per_class(
    predicted: Tensor, probabilities: Tensor | None, truth: Tensor, classes: Sequence[str]
) -> dict[str, ClassScores]:
    """Scores of each class against the rest, from (N, K) 0/1 predictions and truth, of which -1 is unknown."""
    from torchmetrics.functional import classification as tm

    scores = {}
    for k, name in enumerate(classes):
        known = truth[:, k] >= 0
        p, t = predicted[known, k], truth[known, k]
        scored = None if probabilities is None else probabilities[known, k]
        tp, support, positives = int((p & t).sum()), int(t.sum()), int(p.sum())
        defined = scored is not None and 0 < support < len(t)
        scores[name] = ClassScores(
            support=support,
            f1=2 * tp / (support + positives) if support + positives else None,
            recall=tp / support if support else None,
            precision=tp / positives if positives else None,
            auroc=float(tm.binary_auroc(scored, t)) if defined and scored is not None else None,
            average_precision=(
                float(tm.binary_average_precision(scored, t)) if defined and scored is not None else None
            ),
        )
    return scores


def _f1_macro(per_class: dict[str, ClassScores]) -> float:
    """Mean F1 of the classes that occur or were predicted; 2TP / (2TP + FP + FN) of others is 0 / 0."""
    return _mean([scores.f1 for scores in per_class.values()]) or 0.0


def _one_hot(indices: Tensor, k: int) -> Tensor:
    return torch.nn.functional.one_hot(indices, k)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp_min(1), torch.nan)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def confusion(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """(K, K) int64 confusion matrix [truth, predicted] of the pixels that are not `IGNORE`, on the tensors' device."""
    known = truth != IGNORE
    return torch.bincount(truth[known] * classes + predicted[known], minlength=classes**2).reshape(classes, classes)


def scores_of_confusion(counts: NDArray[np.int64]) -> dict[str, float]:
    """iou and dice (means over foreground classes) and pixel_accuracy from a (K, K) confusion matrix of pixels."""
    overlap, union, both = _overlaps(counts)
    return {
        "iou": _nanmean(_quotients(overlap, union)[1:]) or 0.0,
        "dice": _nanmean(_quotients(2 * overlap, both)[1:]) or 0.0,
        "pixel_accuracy": float(np.trace(counts) / max(1, counts.sum())),
    }


@dataclass
class SegmentationTally:
    """Collects the scores of images, each at its own resolution.

    Attributes:
        classes: names, background first.
        distances: whether to compute surface distances, which take far longer than everything else.
    """

    classes: Sequence[str]
    distances: bool = True
    _pooled: NDArray[np.int64] = field(init=False)
    _images: list[ImageScores] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        k = len(self.classes)
        self._pooled = np.zeros((k, k), dtype=np.int64)

    def add(
        self, predicted: NDArray[np.uint8], truth: NDArray[np.uint8], *, image: str = "", group: str | None = None
    ) -> None:
        """Add one image: (H, W) predicted classes against (H, W) truth with `IGNORE`.

        Args:
            image: its name. group: its patient, if known.
        """
        k, known = len(self.classes), truth != IGNORE
        counts = np.bincount(truth[known].astype(np.int64) * k + predicted[known], minlength=k * k).reshape(k, k)
        self._pooled += counts
        overlap, union, both = _overlaps(counts)
        undefined = (float("nan"), float("nan"))
        surface = [
            _surface((predicted == c) & known, (truth == c) & known) if self.distances else undefined
            for c in range(1, k)
        ]
        self._images.append(
            ImageScores(
                image=image,
                group=group,
                iou=self._by_class(_quotients(overlap, union)[1:]),
                dice=self._by_class(_quotients(2 * overlap, both)[1:]),
                hd95=self._by_class([hd95 for hd95, _ in surface]),
                assd=self._by_class([assd for _, assd in surface]),
                overlap=dict(zip(self.classes[1:], overlap[1:].tolist(), strict=True)),
                union=dict(zip(self.classes[1:], union[1:].tolist(), strict=True)),
            )
        )

    @classmethod
    def joined(cls, tallies: Sequence["SegmentationTally"]) -> "SegmentationTally":
        """Merge the tallies of several processes, among which images were distributed in turn."""
        joined = cls(tallies[0].classes, distances=tallies[0].distances)
        joined._pooled = sum((tally._pooled for tally in tallies), joined._pooled)
        rounds = zip_longest(*(tally._images for tally in tallies))
        joined._images = [image for turn in rounds for image in turn if image is not None]
        return joined

    def per_image(self) -> tuple[ImageScores, ...]:
        """Scores of each image, in the order of `add`."""
        return tuple(self._images)

    def scores(self) -> SegmentationScores:
        """Scores of all images added, of which there must be at least one."""
        overlap, union, both = _overlaps(self._pooled)
        iou, dice = _quotients(overlap, union), _quotients(2 * overlap, both)
        pooled = scores_of_confusion(self._pooled)
        hd95, assd = (self._class_means([getattr(image, name) for image in self._images]) for name in ("hd95", "assd"))
        per_class = {
            name: ClassScores(
                support=int(self._pooled[c].sum()),
                iou=_known(iou[c]),
                dice=_known(dice[c]),
                hd95=hd95.get(name),
                assd=assd.get(name),
            )
            for c, name in enumerate(self.classes)
        }
        images = {name: [getattr(image, name) for image in self._images] for name in ("iou", "dice")}
        patients = {name: self._per_patient(values) for name, values in images.items()}
        grouped = any(image.group is not None for image in self._images)
        return SegmentationScores(
            images=len(self._images),
            iou=pooled["iou"],
            dice=pooled["dice"],
            iou_image=self._mean(images["iou"]) or 0.0,
            dice_image=self._mean(images["dice"]) or 0.0,
            iou_patient=(self._mean(patients["iou"]) or 0.0) if grouped else None,
            dice_patient=(self._mean(patients["dice"]) or 0.0) if grouped else None,
            hd95=_mean(list(hd95.values())),
            assd=_mean(list(assd.values())),
            pixel_accuracy=pooled["pixel_accuracy"],
            per_class=per_class,
        )

    def _by_class(self, values: Sequence[float]) -> dict[str, float | None]:
        return {name: _known(value) for name, value in zip(self.classes[1:], values, strict=True)}

    def _class_means(self, rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
        """Mean score of each foreground class over the rows for which it is defined."""
        return {name: _mean([row[name] for row in rows]) for name in self.classes[1:]}

    def _mean(self, rows: Sequence[Mapping[str, float | None]]) -> float | None:
        """Mean over the foreground classes of their means over rows."""
        return _mean(list(self._class_means(rows).values()))

    def _per_patient(self, rows: Sequence[Mapping[str, float | None]]) -> list[dict[str, float | None]]:
        """Class means over the images of each patient; an image without a patient is a patient of its own."""
        by_patient: dict[object, list[Mapping[str, float | None]]] = {}
        for number, (image, row) in enumerate(zip(self._images, rows, strict=True)):
            by_patient.setdefault(number if image.group is None else image.group, []).append(row)
        return [self._class_means(patient_rows) for patient_rows in by_patient.values()]


def _overlaps(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Intersection, union and sum of the areas of each class, from a confusion matrix [truth, predicted]."""
    overlap = np.diag(counts)
    both = counts.sum(axis=0) + counts.sum(axis=1)
    return overlap, both - overlap, both


def _quotients(part: NDArray[np.int64], whole: NDArray[np.int64]) -> list[float]:
    """part / whole, NaN for a class absent from both truth and prediction."""
    return [float(p / w) if w else float("nan") for p, w in zip(part, whole, strict=True)]


def _surface(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """(HD95, ASSD) in pixels; NaN if both masks are empty, the image's diagonal if one is."""
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance  # takes seconds

    if not predicted.any() and not truth.any():
        return float("nan"), float("nan")
    if not predicted.any() or not truth.any():
        diagonal = float(np.hypot(*truth.shape))
        return diagonal, diagonal
    p, t = torch.from_numpy(predicted)[None, None].float(), torch.from_numpy(truth)[None, None].float()
    hd95 = compute_hausdorff_distance(p, t, include_background=True, percentile=95)
    assd = compute_average_surface_distance(p, t, include_background=True, symmetric=True)
    return float(hd95), float(assd)


def _nanmean(values: Sequence[float]) -> float | None:
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else None


def _known(value: float) -> float | None:
    return value if value == value else None
