"""DIET: each image is its own class (Ibrahim et al. 2024), here to continue the pre-training of an encoder.

    x       (B, 3, H, W) one view of each image;  n  its number among the N training images
    z       c W · encoder(x)              (B, N) logits without bias; c, `head_rate`, is how much faster they learn
    loss    mean over the batch of the cross-entropy of softmax(z) and n with label smoothing ε:
            -(1 - ε) log p_n - ε / N Σ_k log p_k

DIET-CP (Rodas et al. 2025) continues the pre-training of a foundation model with it on some 1,000 images of another
domain. It needs no teacher, no projector and no negatives. The defaults here are for that number of images: the last
blocks are trained at a low rate, and only after the head, so that the encoder does not forget what it knows. Whether
that helps depends on the data: compare with the encoder left alone, by the k-NN score (`health.knn`) before the first
and after the last epoch, or in a study.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import Batch, Batches, Losses, Pretrainer, Task, TrainState
from s4mi.errors import S4miError
from s4mi.maths.distributed import mean_over_images
from s4mi.nets.backbone import Backbone, check_backbone
from s4mi.nets.lora import merge_lora
from s4mi.nets.tuning import EncoderTuning
from s4mi.settings.pretraining.diet import DietConfig


@final
class Diet(Pretrainer):
    """An encoder and a linear classifier with a class for each training image."""

    numbers: Tensor

    def __init__(self, config: DietConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        check_backbone(config.backbone)
        if not task.train_rows:
            raise S4miError("'diet' needs training images, each of which is a class; the split has none")
        self.backbone = Backbone(config.backbone, image_size=task.image_size, weights=config.weights)
        self.tuning = EncoderTuning(self.backbone, config, name=config.backbone, image_size=task.image_size)
        self.head = nn.Linear(self.backbone.features, len(task.train_rows), bias=False)
        # Adam's steps do not depend on the scale of gradients, so that a factor on W is one on its learning rate.
        nn.init.normal_(self.head.weight, std=self.backbone.features**-0.5 / config.head_rate)
        self.register_buffer("numbers", numbers_of(task.train_rows), persistent=False)

    def encoders(self) -> dict[str, nn.Module]:
        return {self.config.backbone: self.backbone}

    def before_epoch(self, batches: Batches) -> None:
        self.tuning.before_epoch()

    def before_step(self, state: TrainState) -> None:
        self.tuning.before_step(state)

    def after_backward(self, state: TrainState) -> None:
        self.tuning.after_backward()

    def before_inference(self) -> None:
        merge_lora(self.backbone)

    def loss(self, batch: Batch) -> Losses:
        z = self.config.head_rate * self.head(self.backbone(batch.images).float())
        n = self.numbers[batch.rows.to(z.device, non_blocking=True)]
        smoothed = F.cross_entropy(z, n, label_smoothing=self.config.label_smoothing, reduction="none")
        return Losses(instances=mean_over_images(smoothed))


def numbers_of(rows: tuple[int, ...]) -> Tensor:
    """(max + 1,) int64: the number of each manifest row among `rows`, -1 for others."""
    numbers = torch.full((max(rows) + 1,), -1)
    numbers[torch.tensor(rows)] = torch.arange(len(rows))
    return numbers
