"""What a run leaves behind: `record.json`, one `RunRecord`, the only thing reports and studies read.

Nothing here imports torch, so a report of a thousand runs opens in a moment.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s4mi.errors import S4miError

FORMAT: Final = 1
RECORD_NAME = "record.json"

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

    `iou` and `dice` pool the pixels of all images; `iou_image` and `dice_image` average over images. A class absent
    from truth and prediction alike leaves that image out of its mean; absent from truth only, the image scores 0. Where
    one of the two is empty, surface distances count as the image's diagonal.
    """

    kind: Literal["segmentation"] = "segmentation"
    images: int
    iou: float
    dice: float
    iou_image: float
    dice_image: float
    hd95: float | None = Field(description="95th percentile Hausdorff distance, pixels of the original image")
    assd: float | None = Field(description="average symmetric surface distance, pixels of the original image")
    pixel_accuracy: float
    per_class: dict[str, ClassScores]


Scores = ClassificationScores | SegmentationScores


class LabelCounts(Frozen):
    """How many images each part holds and how many of the training images carry the annotation that was used."""

    train_images: int
    train_labelled: int = Field(description="training images whose annotation this run may read")
    val: int
    test: int
    per_class: dict[str, int] = Field(description="labelled training images showing each class")


class Cost(Frozen):
    """What the run cost. Seconds add up over resumed sessions."""

    seconds: float
    images_per_second: float = Field(description="training images per second of training time")
    peak_memory_mib: float = Field(description="peak resident memory of the process, or peak device memory on a GPU")
    parameters: int
    device: str


class RunRecord(Frozen):
    """One finished training run."""

    format: Literal[1] = FORMAT
    method: str
    backbone: str
    dataset: str
    synthetic: bool = Field(description="the images are drawn, not photographed; say so wherever results are shown")
    task: TaskKind
    classes: list[str]
    label_fraction: float = Field(description="percent of the annotated training images whose annotation was used")
    labels_asked: str = Field("", description="what was asked for, such as `10 %`, `50 images` or `5 patients`")
    leaks: int = Field(0, description="pairs of images alike on two sides of the split, which was allowed")
    seed: int
    config_hash: str
    split_hash: str
    data_hash: str = Field(description="content hash of the decoded images and masks")
    metric: str = Field(description="name of the score that chose the best epoch, read on validation only")
    best_epoch: int
    epochs: int
    labels: LabelCounts
    val: Scores | None = Field(discriminator="kind")
    test: Scores | None = Field(discriminator="kind")
    cost: Cost
    versions: dict[str, str]
    git_revision: str | None = Field(description="revision of the s4mi source checkout, when it runs from one")
    started: str = Field(description="ISO 8601, UTC")
    finished: str


class EpochRecord(Frozen):
    """One line of `metrics.jsonl`."""

    epoch: int = Field(ge=1)
    losses: dict[str, float] = Field(description="mean over the epoch of each named term, and of their `total`")
    val: dict[str, float] = Field(description="validation scores at network resolution")
    lr: float
    seconds: float
    images_per_second: float


def write_text_atomically(path: Path, text: str) -> None:
    """Write `text` so that a reader, or a machine that loses power, sees the old file or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_record(record: RunRecord, run_dir: Path) -> None:
    """Write `record.json` into `run_dir`, atomically."""
    write_text_atomically(run_dir / RECORD_NAME, record.model_dump_json(indent=2) + "\n")


def read_record(run_dir: Path) -> RunRecord:
    """Read `record.json` of `run_dir`.

    Raises:
        S4miError: there is none (the run is not finished), or it is of another format.
    """
    path = run_dir / RECORD_NAME
    try:
        return RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise S4miError(
            f"{path}: not there, so this is no finished run; finish it with: s4mi train --resume"
        ) from error
    except UnicodeDecodeError as error:
        raise S4miError(f"{path}: is damaged (byte {error.start} is no text); train the run again") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise S4miError(f"{path}: {place or 'file'}: {problem['msg']}; was it written by another version?") from error


def read_epochs(run_dir: Path) -> list[EpochRecord]:
    """The epochs in `metrics.jsonl`, oldest first; a torn last line (the process was killed) is left out."""
    path = run_dir / "metrics.jsonl"
    if not path.exists():
        return []
    epochs = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            epochs.append(EpochRecord.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError):
            break
    return epochs
