"""Fine-tuning: a pre-trained backbone with a new head, on the labelled images (S4MI section 3.1.1).

    x, y    (B, 3, H, W) images and their labels: (B,) classes, or (B, K) 0/1 for multi-label tasks
    z       W · backbone(x) + b           (B, K) logits; a linear probe trains W and b alone
    loss    multi-class:  w_y-weighted cross-entropy or focal loss of softmax(z)
            multi-label:  the same of one sigmoid per class, w weighting its positives

From ImageNet weights this is transfer learning; from a run of DINO or CASS it is the second stage of self-supervised
training.
"""

from typing import Any, ClassVar, Literal, final

from pydantic import Field
from torch import Tensor, nn

from s4mi.contract import (
    CLASSIFICATION_VIEWS,
    Batch,
    Batches,
    Classifier,
    Losses,
    PretrainedConfig,
    Recipe,
    Task,
    ViewSpec,
    WeightRule,
)
from s4mi.maths.losses import (
    class_weights,
    cross_entropy,
    focal,
    multilabel_cross_entropy,
    positive_weights,
)
from s4mi.nets.backbone import Backbone, check_backbone
from s4mi.nets.weights import NONE, start_weights
from s4mi.records import TaskKind


class FinetuneConfig(PretrainedConfig):
    """Settings of fine-tuning; the defaults are the paper's transfer learning."""

    summary: ClassVar[str] = "Fine-tune a pre-trained backbone on the labelled images"
    paper: ClassVar[str] = "Singh et al. 2024, S4MI, section 3.1 (transfer learning; second stage of DINO and CASS)"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel"})
    default_views: ClassVar[ViewSpec] = CLASSIFICATION_VIEWS
    paper_settings: ClassVar[dict[str, Any]] = {"views": CLASSIFICATION_VIEWS.model_dump()}

    name: Literal["finetune"] = "finetune"
    recipe: Recipe = Field(
        "strong", description="Source of the defaults of views; for classification both recipes have the same"
    )
    backbone: str = Field("resnet50", description="Backbone: any timm name, or tiny_resnet, tiny_vit, tiny_swin")
    linear_probe: bool = Field(False, description="Train the head alone, on frozen features")
    criterion: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy", description="Loss: cross-entropy or focal loss; multi-label: its binary form for each class"
    )
    gamma: float = Field(2.0, ge=0, description="Focusing parameter of the focal loss; 0: cross-entropy")
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the loss: none, inverse or median frequency of labelled training images, or a "
        "list of numbers; multi-label: weights of the positives",
    )

    def technique(self, pretraining: str | None = None) -> str:
        start = pretraining or ("transfer from scratch" if self.weights == NONE else "transfer")
        return f"{start}, linear probe" if self.linear_probe else start

    def build(self, task: Task) -> "Finetune":
        return Finetune(self, task)


@final
class Finetune(Classifier):
    """A backbone and a linear head."""

    weight: Tensor | None

    def __init__(self, config: FinetuneConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.multilabel = task.kind == "multilabel"
        check_backbone(config.backbone)
        weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
        self.backbone = Backbone(config.backbone, image_size=task.image_size, weights=weights)
        self.backbone.requires_grad_(not config.linear_probe)
        self.head = nn.Linear(self.backbone.features, len(task.classes))
        if self.multilabel:
            weight = positive_weights(task.counts, task.labelled, config.class_weights)
        else:
            weight = class_weights(task.counts, config.class_weights)
        self.register_buffer("weight", weight, persistent=False)

    def before_epoch(self, batches: Batches) -> None:
        if self.config.linear_probe:
            self.backbone.eval()  # otherwise batch normalisation would update its statistics

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.head(self.backbone(images))
        return z

    def loss(self, batch: Batch) -> Losses:
        z, y = self.logits(batch.images), batch.known_labels
        if self.config.criterion == "focal":
            return Losses(focal=focal(z, y, gamma=self.config.gamma, weight=self.weight))
        if self.multilabel:
            return Losses(cross_entropy=multilabel_cross_entropy(z, y, self.weight))
        return Losses(cross_entropy=cross_entropy(z, y, self.weight))
