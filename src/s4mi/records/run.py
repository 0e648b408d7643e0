"""Records of a run: one per finished run, one per epoch."""

from typing import Final, Literal

from pydantic import AliasChoices, Field

from s4mi.records.data import DataSummary
from s4mi.records.external import ExternalTest
from s4mi.records.fit import FitRecord
from s4mi.records.pretraining import FeatureHealth, Pretraining
from s4mi.records.reliability import Reliability
from s4mi.records.scores import Frozen, Scores, SegmentationScores, TaskKind
from s4mi.records.selection import Selection
from s4mi.records.start import Start

FORMAT: Final = 1
BUSY: Final = 1.5
"""Processes per core above which a machine counts as busy: times are then longer than the run alone would take."""
FEW_STEPS: Final = 200
"""With fewer optimiser steps a network has rarely learnt what its labels allow."""


class LabelCounts(Frozen):
    """Number of images in each part of the split, and of annotations that the run has read."""

    train_images: int
    train_labelled: int = Field(description="training images whose annotation the run may use")
    val: int
    test: int
    per_class: dict[str, int] = Field(description="labelled training images that show each class")
    validation: int | None = Field(
        None,
        description="images outside training whose annotations the run has read, to choose with or to name clusters; "
        "None in records of older versions",
    )
    counted: bool = Field(
        False, description="whether label_fraction counts these too; false: the paper's way, training images only"
    )

    @property
    def read(self) -> int:
        """Every annotation that the run has read outside the test part."""
        return self.train_labelled + (self.val if self.validation is None else self.validation)

    @property
    def n(self) -> int:
        """Number of labels as `label_fraction` counts them: with those that the run was chosen with, or without."""
        return self.read if self.counted else self.train_labelled

    @property
    def beside(self) -> int:
        """Number of annotations that the run has read but that `n` does not count."""
        return self.read - self.n

    def without_labels(self) -> "LabelCounts":
        """Return the counts of a run that used no annotation of a training image."""
        return self.model_copy(update={"train_labelled": 0, "per_class": dict.fromkeys(self.per_class, 0)})


class Cost(Frozen):
    """Cost of a run. Seconds are summed over resumed sessions."""

    seconds: float
    images_per_second: float = Field(description="training images per second of training time")
    peak_memory_mib: float = Field(description="peak resident memory of the process, or peak device memory on a GPU")
    parameters: int
    device: str
    energy_wh: float | None = Field(None, description="energy in Wh, from hardware counters; None: not measured")
    energy_of: str = Field("", description="what was measured: processor, GPU or both, with all processes on them")
    load: float | None = Field(
        None, description="mean processes that ran or waited, per core, around the end of the run; None: not counted"
    )

    @property
    def busy(self) -> bool:
        """Whether other programs slowed the run down, as far as is known."""
        return self.load is not None and self.load > BUSY


class MemberScores(Frozen):
    """Scores of one ensemble member; surface distances are computed for the selected member only."""

    val: SegmentationScores | None
    test: SegmentationScores | None


class RunRecord(Frozen):
    """One finished training run."""

    format: Literal[1] = FORMAT
    method: str
    technique: str = Field("", description="name in tables, from the method and its pre-training; empty: the method")
    pretraining: Pretraining | None = Field(None, description="pre-training run that the weights come from, if any")
    backbone: str
    starts: tuple[Start, ...] = Field(
        (), description="weights that each network began with; empty in records of older versions"
    )
    dataset: str
    synthetic: bool = Field(description="whether the images are synthetic, to be stated wherever results are shown")
    task: TaskKind
    classes: list[str]
    label_fraction: float = Field(
        description="percent of the annotated images whose annotation was used, of all outside the test part where "
        "`labels.counted` is true, else of the training images"
    )
    labels_asked: str = Field("", description="requested amount of labels, e.g. `10 %`, `50 images` or `5 patients`")
    leaks: int = Field(0, description="number of leaking pairs between parts of the split, if allowed")
    seed: int
    config_hash: str
    split_hash: str
    data_hash: str = Field(description="content hash of the decoded images and masks")
    labels_hash: str = Field("", description="hash of the labels of all images; empty: none used, or an older record")
    data: DataSummary | None = Field(None, description="data set as used by the run; None in records of older versions")
    metric: str = Field(description="validation score that selected the best epoch")
    best_epoch: int
    epochs: int
    steps: int | None = Field(None, description="optimiser steps; None: none are made, or a record of an older version")
    ended_improving: bool = Field(
        False, description="whether the best epoch was the last, so that more steps may help; False in older records"
    )
    labels: LabelCounts
    val: Scores | None = Field(discriminator="kind")
    test: Scores | None = Field(discriminator="kind")
    last_test: Scores | None = Field(
        None,
        discriminator="kind",
        description="test scores of the last epoch, for comparison, without surface distances; None: the last epoch is "
        "the selected one, or a record of an older version",
    )
    member: str = Field(
        "",
        validation_alias=AliasChoices("member", "reading"),
        description="ensemble member that validation selected; `val` and `test` are its scores",
    )
    members: dict[str, MemberScores] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("members", "readings"),
        description="scores of all ensemble members, if the method has several",
    )
    selection: Selection | None = Field(
        None, description="with which labels the run was chosen; None in records of older versions: the validation part"
    )
    calibration: Reliability | None = Field(
        None,
        description="calibration on the test part without and with the run's own temperature, which is 1 if it has "
        "none; None in records of older versions",
    )
    external: dict[str, ExternalTest] = Field(
        default_factory=dict, description="results on external test sets by their names in the settings"
    )
    restarts: int = Field(0, description="number of restarts with other initial weights after a collapse")
    fit: FitRecord | None = Field(None, description="how the method was fitted, if to stored features at once")
    cost: Cost
    versions: dict[str, str]
    git_revision: str | None = Field(description="revision of the s4mi source checkout, when it runs from one")
    started: str = Field(description="ISO 8601, UTC")
    finished: str

    @property
    def few_steps(self) -> bool:
        """Whether training made fewer than `FEW_STEPS` optimiser steps, as far as is known."""
        return self.steps is not None and self.steps < FEW_STEPS


class PretrainingRecord(Frozen):
    """One finished pre-training run."""

    format: Literal[1] = FORMAT
    kind: Literal["pretraining"] = "pretraining"
    method: str
    backbone: str
    starts: tuple[Start, ...] = Field(
        (), description="weights that each network began with; empty in records of older versions"
    )
    encoders: dict[str, str] = Field(description="weight file of each encoder, relative to the run folder")
    dataset: str
    synthetic: bool
    images: int = Field(description="number of training images; their labels were not used")
    seed: int
    config_hash: str
    split_hash: str
    data_hash: str
    data: DataSummary | None = Field(None, description="data set as used by the run; None in records of older versions")
    epochs: int
    start: FeatureHealth = Field(description="feature health before the first step")
    end: FeatureHealth = Field(description="feature health after the last epoch")
    cost: Cost
    versions: dict[str, str]
    git_revision: str | None
    started: str
    finished: str


class EpochRecord(Frozen):
    """One line of `metrics.jsonl`."""

    epoch: int = Field(ge=1)
    losses: dict[str, float] = Field(description="mean over the epoch of each loss term and of their `total`")
    val: dict[str, float] = Field(description="validation scores at network resolution")
    health: FeatureHealth | None = Field(None, description="feature health, for pre-training")
    signals: dict[str, float] = Field(default_factory=dict, description="further metrics reported by the method")
    lr: float = Field(
        description="learning rate of the epoch's steps, of the first group of parameters; 0: no steps are made"
    )
    seconds: float
    images_per_second: float
