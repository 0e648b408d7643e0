"""What scores say, and the words that all records share."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TaskKind = Literal["multiclass", "multilabel", "segmentation"]
Part = Literal["train", "val", "test"]

IGNORE = 255
"""Mask value of a pixel that has no annotation: it enters no loss and no score."""


class Frozen(BaseModel):
    """Immutable, and strict about unknown fields, so that an older format is noticed and not misread.

    A number that is not finite is written as NaN or Infinity: as null, the record could not be read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class ClassScores(Frozen):
    """Scores of one class against the rest; `None` where the class is absent and the score undefined."""

    support: int = Field(description="images (classification) or truth pixels (segmentation) of this class")
    f1: float | None = None
    recall: float | None = None
    precision: float | None = None
    auroc: float | None = None
    average_precision: float | None = None
    iou: float | None = None
    dice: float | None = None
    hd95: float | None = None
    assd: float | None = None


class ClassificationScores(Frozen):
    """Classification on one part of the split. Every number lies in [0, 1]; F1 = 2TP / (2TP + FP + FN)."""

    kind: Literal["classification"] = "classification"
    images: int
    f1_micro: float
    f1_macro: float
    recall_micro: float = Field(description="for multi-class tasks this is the accuracy")
    recall_macro: float
    balanced_accuracy: float
    auroc: float | None = Field(description="macro mean over the classes for which it is defined")
    average_precision: float | None
    calibration_error: float = Field(description="expected calibration error, 15 equal bins")
    majority_f1_macro: float = Field(description="macro F1 of always giving the most frequent labelled training answer")
    per_class: dict[str, ClassScores]
    confusion: list[list[int]] = Field(
        description="multi-class: [truth][predicted]; multi-label: one row [TN, FP, FN, TP] per class"
    )


class SegmentationScores(Frozen):
    """Segmentation on one part of the split, at each image's own resolution; means are over foreground classes.

    `iou` and `dice` pool the pixels of all images; `iou_image` and `dice_image` average over images; `iou_patient` and
    `dice_patient` over patients, each of whom counts with the mean of their images. A class absent from truth and
    prediction alike leaves that image out of its mean; absent from one of them only, the image scores 0. Where one of
    the two is empty, surface distances count as the image's diagonal.
    """

    kind: Literal["segmentation"] = "segmentation"
    images: int
    iou: float
    dice: float
    iou_image: float
    dice_image: float
    iou_patient: float | None = Field(
        None, description="None where no image has a group; an image without one is a patient of its own"
    )
    dice_patient: float | None = None
    hd95: float | None = Field(description="95th percentile Hausdorff distance, pixels of the original image")
    assd: float | None = Field(description="average symmetric surface distance, pixels of the original image")
    pixel_accuracy: float
    per_class: dict[str, ClassScores]


Scores = ClassificationScores | SegmentationScores
