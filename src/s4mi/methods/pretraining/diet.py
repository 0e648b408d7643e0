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

from typing import Any, ClassVar, Literal, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from s4mi.contract import Batch, Batches, Losses, Pretrainer, Task, TrainState, Tuning, TuningConfig, ViewSpec
from s4mi.errors import S4miError
from s4mi.maths.distributed import mean_over_images
from s4mi.nets.backbone import Backbone, check_backbone
from s4mi.nets.lora import merge_lora
from s4mi.nets.tuning import EncoderTuning
from s4mi.nets.weights import IMAGENET
from s4mi.records import TaskKind


class DietConfig(TuningConfig):
    """Settings of DIET; the defaults continue the pre-training of a foundation encoder on about 1,000 images."""

    summary: ClassVar[str] = "Continue the pre-training of an encoder without labels: each image is its own class"
    paper: ClassVar[str] = "Rodas et al. 2025, DIET-CP; Ibrahim et al. 2024, Occam's Razor for Self Supervised Learning"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hints: ClassVar[tuple[str, ...]] = (
        "lower optim.lr", "train fewer blocks (method.tuned_blocks=1)", "raise method.head_first",
    )  # fmt: skip
    default_optim: ClassVar[dict[str, Any]] = {"name": "adamw", "lr": 1e-5, "min_lr": 1e-6, "weight_decay": 0.05}
    default_views: ClassVar[ViewSpec] = ViewSpec(
        scale=(0.4, 1.0), aspect=(3 / 4, 4 / 3), brightness=0.3, contrast=0.3, saturation=0.2, hue=0.05, jitter=0.8,
        grey=0.1, blur=0.3, blur_sigma=(0.1, 2.0),
    )  # fmt: skip

    name: Literal["diet"] = "diet"
    backbone: str = Field(
        "vit_small_patch14_dinov2",
        description="Encoder to continue with: any timm name, tiny_resnet, tiny_vit, tiny_swin, or auto",
    )
    weights: str = Field(IMAGENET, description="Initial weights: imagenet, auto, none, or the path of a weight file")
    tuning: Tuning = Field(
        "last_blocks", description="What is trained of the encoder: last_blocks, full, or lora; head: nothing of it"
    )
    head_first: int = Field(
        50, ge=0, description="Number of optimiser steps, at the start, in which the classes alone are learnt"
    )
    label_smoothing: float = Field(
        0.8, ge=0, lt=1, description="Share of the target that is spread over all images (label smoothing)"
    )
    head_rate: float = Field(
        100.0, gt=0, description="Learning rate of the classes, as a multiple of optim.lr, with adam and adamw"
    )

    @property
    def backbone_name(self) -> str:
        return self.backbone

    def build(self, task: Task) -> "Diet":
        return Diet(self, task)


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
