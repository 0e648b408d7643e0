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

from typing import final

from torch import Tensor, nn

from s4mi.contract import (
    Batch,
    Batches,
    Classifier,
    Losses,
    Task,
    TrainState,
)
from s4mi.maths.losses import (
    class_weights,
    cross_entropy,
    focal,
    multilabel_cross_entropy,
    positive_weights,
)
from s4mi.nets.backbone import Backbone, check_backbone
from s4mi.nets.initial_weights import start_weights
from s4mi.nets.lora import merge_lora
from s4mi.nets.tuning import EncoderTuning
from s4mi.settings.classification.finetune import FinetuneConfig


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
