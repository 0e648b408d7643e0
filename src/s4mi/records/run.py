"""The records of a run: one when it has finished, one an epoch."""

from typing import Final, Literal

from pydantic import AliasChoices, Field

from s4mi.records.data import DataSummary
from s4mi.records.pretraining import FeatureHealth, Pretraining
from s4mi.records.scores import Frozen, Scores, SegmentationScores, TaskKind

FORMAT: Final = 1


class LabelCounts(Frozen):
    """How many images each part holds and how many of the training images carry the annotation that was used."""

    train_images: int
    train_labelled: int = Field(description="training images whose annotation this run may read")
    val: int
    test: int
    per_class: dict[str, int] = Field(description="labelled training images showing each class")

    def without_labels(self) -> "LabelCounts":
        """The same where no annotation of a training image was read."""
        return self.model_copy(update={"train_labelled": 0, "per_class": dict.fromkeys(self.per_class, 0)})


class Cost(Frozen):
    """What the run cost. Seconds add up over resumed sessions."""

    seconds: float
    images_per_second: float = Field(description="training images per second of training time")
    peak_memory_mib: float = Field(description="peak resident memory of the process, or peak device memory on a GPU")
    parameters: int
    device: str
    energy_wh: float | None = Field(None, description="watt-hours that counters of the machine saw; None: not measured")
    energy_of: str = Field("", description="what was counted: processor, GPU or both, with all else that ran there")


class MemberScores(Frozen):
    """Scores of one of the several answers that some segmenters give; surface distances are the chosen one's alone."""

    val: SegmentationScores | None
    test: SegmentationScores | None


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
    data: DataSummary | None = Field(None, description="the data set as the run saw it; older runs do not know")
    metric: str = Field(description="name of the score that chose the best epoch, read on validation only")
    best_epoch: int
    epochs: int
    labels: LabelCounts
    val: Scores | None = Field(discriminator="kind")
    test: Scores | None = Field(discriminator="kind")
    member: str = Field(
        "",
        validation_alias=AliasChoices("member", "reading"),
        description="ensemble member that validation selected; `val` and `test` are its scores",
    )
    members: dict[str, MemberScores] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("members", "readings"),
        description="scores of each ensemble member of a segmenter that has several",
    )
    restarts: int = Field(0, description="times that training began again, with other weights, after a collapse")
    cost: Cost
    versions: dict[str, str]
    git_revision: str | None = Field(description="revision of the s4mi source checkout, when it runs from one")
    started: str = Field(description="ISO 8601, UTC")
    finished: str


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
    data: DataSummary | None = Field(None, description="the data set as the run saw it; older runs do not know")
    epochs: int
    start: FeatureHealth = Field(description="before the first step")
    end: FeatureHealth
    cost: Cost
    versions: dict[str, str]
    git_revision: str | None
    started: str
    finished: str


class EpochRecord(Frozen):
    """One line of `metrics.jsonl`."""

    epoch: int = Field(ge=1)
    losses: dict[str, float] = Field(description="mean over the epoch of each named term, and of their `total`")
    val: dict[str, float] = Field(description="validation scores at network resolution")
    health: FeatureHealth | None = Field(None, description="of pre-training")
    signals: dict[str, float] = Field(default_factory=dict, description="what else tells how training goes")
    lr: float
    seconds: float
    images_per_second: float
