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
MAP_NAME = "feature_map.json"

TaskKind = Literal["multiclass", "multilabel", "segmentation"]
Part = Literal["train", "val", "test"]

LEAST_STD = 0.02
LEAST_RANK = 1.5
MOST_ENTROPY = 0.995
"""Pre-training has collapsed beyond these. From random weights, features of dermoscopic images already have a standard
deviation of 0.04 to 0.4 and an effective rank of 8 or more. A teacher's entropy near 1 is one answer for all images."""

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


class Pretraining(Frozen):
    """The pre-training run that a run started from."""

    method: str
    config_hash: str
    encoder: str = Field(description="backbone whose weights were taken")
    weights_hash: str = Field(description="content hash of those weights")
    epochs: int
    images: int = Field(description="training images it learnt from")
    seconds: float = Field(description="what it cost; other runs may share it")


class RunRecord(Frozen):
    """One finished training run."""

    format: Literal[1] = FORMAT
    method: str
    technique: str = Field("", description="the method and its start, as a table calls them; empty: the method")
    pretraining: Pretraining | None = Field(None, description="where the weights come from, if from a run of s4mi")
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


class Spread(Frozen):
    """How different the features of different images are."""

    std: float = Field(
        description="standard deviation of unit-length features, mean over dimensions, times sqrt(D): 1 is the most, "
        "0 is collapse"
    )
    effective_rank: float = Field(description="exp of the entropy of the singular values' shares; 1 is collapse")
    dimensions: int

    @property
    def collapsed(self) -> bool:
        """Whether these features have stopped telling images apart."""
        return self.std < LEAST_STD or self.effective_rank < LEAST_RANK


class Health(Frozen):
    """What the encoders of a pre-training run look like from outside, on training images without augmentation.

    `features` has one entry an encoder, and one for each other space that the loss works in, such as CASS's logits.
    """

    features: dict[str, Spread]
    signals: dict[str, float] = Field(
        default_factory=dict, description="of the method: DINO's teacher_entropy, in [0, 1]"
    )
    knn: dict[str, float] = Field(
        default_factory=dict,
        description="macro F1 on validation of the nearest labelled training images, an encoder each",
    )

    @property
    def collapsed(self) -> tuple[str, ...]:
        """What has collapsed: names of encoders and of other spaces, or `teacher`."""
        uniform = self.signals.get("teacher_entropy", 0.0) > MOST_ENTROPY
        return (*(name for name, features in self.features.items() if features.collapsed), *["teacher"] * uniform)


class PretrainingRecord(Frozen):
    """One finished pre-training run."""

    format: Literal[1] = FORMAT
    kind: Literal["pretraining"] = "pretraining"
    method: str
    backbone: str
    encoders: dict[str, str] = Field(description="file of each encoder's weights, below the run's folder")
    dataset: str
    synthetic: bool
    images: int = Field(description="training images it learnt from; no label of theirs was used")
    seed: int
    config_hash: str
    split_hash: str
    data_hash: str
    epochs: int
    start: Health = Field(description="before the first step")
    end: Health
    cost: Cost
    versions: dict[str, str]
    git_revision: str | None
    started: str
    finished: str


class MapPoint(Frozen):
    """An image on the two-dimensional map of an encoder's features."""

    id: str
    part: Part | None = Field(description="None where it is in no part of a split")
    labels: list[str] | None = Field(description="its classes; None where it is not annotated")
    x: float
    y: float


class FeatureMap(Frozen):
    """Features of images, projected to a plane for a person to look at; `feature_map.json` of a pre-training run."""

    encoder: str
    projection: Literal["pca", "umap"]
    explained: float | None = Field(description="share of the features' variance that the plane shows; of pca")
    points: list[MapPoint]


class EpochRecord(Frozen):
    """One line of `metrics.jsonl`."""

    epoch: int = Field(ge=1)
    losses: dict[str, float] = Field(description="mean over the epoch of each named term, and of their `total`")
    val: dict[str, float] = Field(description="validation scores at network resolution")
    health: Health | None = Field(None, description="of pre-training")
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


def write_record(record: RunRecord | PretrainingRecord, run_dir: Path) -> None:
    """Write `record.json` into `run_dir`, atomically."""
    write_text_atomically(run_dir / RECORD_NAME, record.model_dump_json(indent=2) + "\n")


def read_record(run_dir: Path) -> RunRecord:
    """Read `record.json` of a run that ended as a classifier or segmenter.

    Raises:
        S4miError: there is none (the run is not finished), it is of another format, or of a pre-training run.
    """
    record = read_any_record(run_dir)
    if isinstance(record, PretrainingRecord):
        raise S4miError(
            f"{run_dir}: a {record.method} run learns features and no answers; fine-tune it first: "
            f"s4mi train RUN.yaml method.pretrained={run_dir}"
        )
    return record


def read_pretraining(run_dir: Path) -> PretrainingRecord:
    """Read `record.json` of a pre-training run.

    Raises:
        S4miError: there is none (the run is not finished), it is of another format, or of another kind of run.
    """
    record = read_any_record(run_dir)
    if isinstance(record, RunRecord):
        raise S4miError(f"{run_dir}: is a {record.method} run, no pre-training; give the folder of one such as dino's")
    return record


def read_any_record(run_dir: Path) -> RunRecord | PretrainingRecord:
    """Read `record.json` of `run_dir`, whatever the run was for.

    Raises:
        S4miError: there is none (the run is not finished), or it is of another format.
    """
    path = run_dir / RECORD_NAME
    try:
        text = path.read_text(encoding="utf-8")
        of_pretraining = json.loads(text).get("kind") == "pretraining"
    except (FileNotFoundError, NotADirectoryError) as error:
        raise S4miError(
            f"{path}: not there, so this is no finished run; finish it with: s4mi train --resume"
        ) from error
    except UnicodeDecodeError as error:
        raise S4miError(f"{path}: is damaged (byte {error.start} is no text); train the run again") from error
    except (json.JSONDecodeError, AttributeError):
        of_pretraining = False  # validation says what is wrong with it
    try:
        return (PretrainingRecord if of_pretraining else RunRecord).model_validate_json(text)
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
