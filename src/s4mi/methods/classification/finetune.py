"""Fine-tuning: a pre-trained backbone with a new head, on the labelled images (S4MI section 3.1.1).

    x, y    (B, 3, H, W) images and their labels: (B,) classes, or (B, K) 0/1 for multi-label tasks
    z       W · backbone(x) + b           (B, K) logits
    loss    multi-class:  w_y-weighted cross-entropy or focal loss of softmax(z)
            multi-label:  the same of one sigmoid per class, w weighting its positives

Trained are W and b, and of the backbone everything, nothing (a linear probe), its last blocks, or low-rank updates of
its weights (LoRA, `nets/lora.py`). What is frozen keeps its batch statistics.

From ImageNet weights this is transfer learning; from a run of DINO or CASS it is the second stage of self-supervised
training.
"""

from typing import Any, ClassVar, Literal, final

from pydantic import Field, model_validator
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
    TrainState,
    TuningConfig,
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
from s4mi.nets.lora import merge_lora
from s4mi.nets.tuning import EncoderTuning
from s4mi.nets.weights import NONE, start_weights
from s4mi.records import TaskKind


class FinetuneConfig(PretrainedConfig, TuningConfig):
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
    backbone: str = Field("resnet50", description="Backbone: any timm name, tiny_resnet, tiny_vit, tiny_swin, or auto")
    criterion: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy", description="Loss: cross-entropy or focal loss; multi-label: its binary form for each class"
    )
    gamma: float = Field(2.0, ge=0, description="Focusing parameter of the focal loss; 0: cross-entropy")
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the loss: none, inverse or median frequency of labelled training images, or a "
        "list of numbers; multi-label: weights of the positives",
    )

    @model_validator(mode="before")
    @classmethod
    def _linear_probe(cls, settings: Any) -> Any:
        """Read `linear_probe`, the setting of earlier versions, as `tuning`."""
        if not isinstance(settings, dict) or "linear_probe" not in settings:
            return settings
        others = {name: value for name, value in settings.items() if name != "linear_probe"}
        return {"tuning": "head", **others} if settings["linear_probe"] else others

    def technique(self, pretraining: str | None = None) -> str:
        start = pretraining or ("transfer from scratch" if self.weights == NONE else "transfer")
        return ", ".join(filter(None, (start, self.tuning_label)))

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
        self.tuning = EncoderTuning(self.backbone, config, name=config.backbone, image_size=task.image_size)
        self.head = nn.Linear(self.backbone.features, len(task.classes))
        if self.multilabel:
            weight = positive_weights(task.counts, task.known or task.labelled, config.class_weights)
        else:
            weight = class_weights(task.counts, config.class_weights)
        self.register_buffer("weight", weight, persistent=False)

    def before_epoch(self, batches: Batches) -> None:
        self.tuning.before_epoch()

    def before_step(self, state: TrainState) -> None:
        self.tuning.before_step(state)

    def after_backward(self, state: TrainState) -> None:
        self.tuning.after_backward()

    def before_inference(self) -> None:
        merge_lora(self.backbone)

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
