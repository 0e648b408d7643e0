"""Scores, and base types shared by all records."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TaskKind = Literal["multiclass", "multilabel", "segmentation"]
Part = Literal["train", "val", "test"]

IGNORE = 255
"""Mask value of pixels without annotation, which are excluded from losses and scores."""


class Frozen(BaseModel):
    """Immutable record that rejects unknown fields, so that other formats are detected and not misread.

    Non-finite numbers are written as NaN or Infinity; as null, the record could not be read again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants", defer_build=True)


class ClassScores(Frozen):
    """One-vs-rest scores of a class; `None` where the class is absent and the score undefined."""

    support: int = Field(description="images (classification) or annotated pixels (segmentation) of the class")
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
    """Classification scores on one part of the split, in [0, 1]; F1 = 2TP / (2TP + FP + FN)."""

    kind: Literal["classification"] = "classification"
    images: int
    f1_micro: float
    f1_macro: float
    recall_micro: float = Field(description="micro recall; for multi-class tasks, the accuracy")
    recall_macro: float
    balanced_accuracy: float
    auroc: float | None = Field(description="macro mean over the classes with a defined AUROC")
    average_precision: float | None
    calibration_error: float = Field(description="expected calibration error, 15 equal bins")
    majority_f1_macro: float = Field(description="macro F1 of always predicting the majority class in training")
    per_class: dict[str, ClassScores]
    confusion: list[list[int]] = Field(
        description="multi-class: [truth][prediction]; multi-label: a row [TN, FP, FN, TP] per class"
    )


class SegmentationScores(Frozen):
    """Segmentation scores on one part of the split, at the resolution of each image; means over foreground classes.

    `iou` and `dice` pool the pixels of all images; `iou_image` and `dice_image` average over images; `iou_patient` and
    `dice_patient` average over patients, each with the mean of their images. Images with a class in neither truth nor
    prediction are left out of the mean of the class; images with it in only one of the two score 0. If either mask is
    empty, surface distances equal the image diagonal.
    """

    kind: Literal["segmentation"] = "segmentation"
    images: int
    iou: float
    dice: float
    iou_image: float
    dice_image: float
    iou_patient: float | None = Field(
        None, description="mean over patients; None if no image has a group; an image without one counts as a patient"
    )
    dice_patient: float | None = None
    hd95: float | None = Field(description="95th percentile Hausdorff distance, pixels of the original image")
    assd: float | None = Field(description="average symmetric surface distance, pixels of the original image")
    pixel_accuracy: float
    per_class: dict[str, ClassScores]


Scores = ClassificationScores | SegmentationScores
