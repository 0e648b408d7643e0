"""Settings of the method in methods/classification/finetune_pseudo_labels.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from s4mi.contract import (
    CLASSIFICATION_VIEWS,
    PretrainedConfig,
    Recipe,
    SemiSupervisedConfig,
    Task,
    ViewSpec,
    WeightRule,
)
from s4mi.nets.initial_weights import NONE
from s4mi.records import TaskKind
from s4mi.settings.built import built

STRONG = ViewSpec(
    brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05, jitter=0.8, grey=0.1, blur=0.5, blur_sigma=(0.5, 2.0)
)
"""Colour augmentation of a strong view; its geometry is that of the weak view."""


class FinetunePseudoLabelsConfig(PretrainedConfig, SemiSupervisedConfig):
    """Settings of fine-tuning with pseudo-labels."""

    summary: ClassVar[str] = "Fine-tune a backbone on the labelled images and on sure predictions for the others"
    paper: ClassVar[str] = "Lee 2013, Pseudo-Label; Sohn et al. 2020, FixMatch"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel"})
    default_views: ClassVar[ViewSpec] = CLASSIFICATION_VIEWS
    paper_settings: ClassVar[dict[str, Any]] = {"views": CLASSIFICATION_VIEWS.model_dump()}
    starts: ClassVar[dict[str, str | None]] = PretrainedConfig.starts

    name: Literal["finetune_pseudo_labels"] = "finetune_pseudo_labels"
    recipe: Recipe = Field(
        "strong", description="Source of the defaults of views; for classification both recipes have the same"
    )
    backbone: str = Field("resnet50", description="Backbone: any timm name, tiny_resnet, tiny_vit, tiny_swin, or auto")
    teacher: Literal["frozen", "network"] = Field(
        "frozen",
        description="What makes pseudo-labels: frozen, a logistic regression on the backbone's features as training "
        "begins, or network, the network itself at the start of a round",
    )
    precision: PositiveFloat = Field(
        0.95,
        le=1,
        description="Mean precision over classes that the frozen teacher's pseudo-labels reach in cross-validation",
    )
    keep: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the predictions of each class to keep, the most probable ones; none: by precision of "
        "the frozen teacher, by confidence of the network",
    )
    confidence: float = Field(
        0.95, ge=0, lt=1, description="Minimum probability of a pseudo-label of teacher=network, unless keep is given"
    )
    rounds: PositiveInt = Field(
        4,
        description="Number of rounds of teacher=network, which begin with an epoch; the first has no pseudo-labels",
    )
    strong: ViewSpec = Field(STRONG, description="Colour augmentation of the views that pseudo-labels are learnt on")
    unlabelled_weight: float = Field(1.0, ge=0, description="Weight of the loss on images without labels")
    labelled_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Share of labelled images in a batch; if every training image has a label, all but one image",
    )
    labelled_per_batch: PositiveInt | None = Field(
        None, description="Number of labelled images in a batch (default: by method.labelled_share)"
    )

    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the loss on labels: none, inverse or median frequency of labelled training "
        "images, or a list of numbers; multi-label: weights of the positives",
    )

    @property
    def strong_views(self) -> tuple[ViewSpec, ...]:
        return (self.strong,)

    def technique(self, pretraining: str | None = None) -> str:
        start = pretraining or ("transfer from scratch" if self.weights == NONE else "transfer")
        taught = "" if self.teacher == "frozen" else " of its own"
        return ", ".join(filter(None, (f"{start} with pseudo-labels{taught}", self.tuning_label)))

    def build(self, task: Task) -> Any:
        return built(self, task, by="classification.finetune_pseudo_labels:FinetunePseudoLabels")
