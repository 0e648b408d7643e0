"""Mixup (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization"): fine-tuning on convex combinations of images.

λ ~ Beta(α, α),   π a random permutation of the batch
x' = λ x + (1 - λ) x_π
L  = λ CE(f(x'), y) + (1 - λ) CE(f(x'), y_π)
"""

from typing import ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from s4mi.contract import Batch, Classifier, Losses, PretrainedConfig, Task, ViewSpec
from s4mi.maths.losses import cross_entropy
from s4mi.nets.backbone import Backbone, check_backbone
from s4mi.nets.initial_weights import start_weights
from s4mi.records import TaskKind


class MixupConfig(PretrainedConfig):
    """Settings of mixup fine-tuning."""

    summary: ClassVar[str] = "fine-tune on convex combinations of pairs of labelled images"
    paper: ClassVar[str] = "Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass"})
    default_views: ClassVar[ViewSpec] = ViewSpec(scale=(0.8, 1.0), brightness=0.2, contrast=0.2)

    name: Literal["mixup"] = "mixup"
    backbone: str = Field("resnet50", description="backbone: any timm name, or tiny_resnet, tiny_vit, tiny_swin")
    alpha: float = Field(0.2, gt=0, description="both parameters of the Beta distribution of the mixing weight")

    def build(self, task: Task) -> "Mixup":
        return Mixup(self, task)


@final
class Mixup(Classifier):
    """A backbone and a linear head, trained on mixed images."""

    def __init__(self, config: MixupConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        check_backbone(config.backbone)
        weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
        self.backbone = Backbone(config.backbone, image_size=task.image_size, weights=weights)
        self.head = nn.Linear(self.backbone.features, len(task.classes))

    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K)."""
        logits: Tensor = self.head(self.backbone(images))
        return logits

    def loss(self, batch: Batch) -> Losses:
        """The formula above; the generator is torch's own, which s4mi seeds for every epoch."""
        x, y = batch.images, batch.known_labels
        weight = torch.distributions.Beta(self.config.alpha, self.config.alpha).sample().to(x.device)
        other = torch.randperm(len(x), device=x.device)
        z = self.logits(weight * x + (1 - weight) * x[other])
        return Losses(
            mixed=weight * cross_entropy(z, y, None),
            mixed_with=(1 - weight) * cross_entropy(z, y[other], None),
        )
