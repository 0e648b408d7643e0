"""Scores of segmentation.

Surface distances come from MONAI; this module defines where tools disagree, how empty masks, absent classes and ignored
pixels count. `records.SegmentationScores` states the rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.maths.stats import mean_of_known
from s4mi.records import IGNORE, ClassScores, ImageScores, SegmentationScores


def confusion(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """(K, K) int64 confusion matrix [truth, predicted] of the pixels that are not `IGNORE`, on the tensors' device."""
    known = truth != IGNORE
    return torch.bincount(truth[known] * classes + predicted[known], minlength=classes**2).reshape(classes, classes)


def scores_of_confusion(counts: NDArray[np.int64]) -> dict[str, float]:
    """iou and dice (means over foreground classes) and pixel_accuracy from a (K, K) confusion matrix of pixels."""
    overlap, union, both = _overlaps(counts)
    return {
        "iou": mean_of_known(_quotients(overlap, union)[1:]) or 0.0,
        "dice": mean_of_known(_quotients(2 * overlap, both)[1:]) or 0.0,
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
            hd95=mean_of_known(list(hd95.values())),
            assd=mean_of_known(list(assd.values())),
            pixel_accuracy=pooled["pixel_accuracy"],
            per_class=per_class,
        )

    def _by_class(self, values: Sequence[float]) -> dict[str, float | None]:
        return {name: _known(value) for name, value in zip(self.classes[1:], values, strict=True)}

    def _class_means(self, rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
        """Mean score of each foreground class over the rows for which it is defined."""
        return {name: mean_of_known([row[name] for row in rows]) for name in self.classes[1:]}

    def _mean(self, rows: Sequence[Mapping[str, float | None]]) -> float | None:
        """Mean over the foreground classes of their means over rows."""
        return mean_of_known(list(self._class_means(rows).values()))

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


def _known(value: float) -> float | None:
    return value if value == value else None
