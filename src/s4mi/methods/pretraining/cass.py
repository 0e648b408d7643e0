"""CASS: cross-architectural self-supervision (Singh, Sizikova & Cirrone 2022; S4MI section 3.1).

    z_cnn = head(cnn(x)), z_vit = head(vit(x))      of one and the same augmented image, as wide as ImageNet's logits
    loss = mean of 2 - 2 cos(z_cnn, z_vit)          both networks learn from it; no negatives, gradients go into both

Nothing in the loss keeps the two from one constant answer, and from random weights they may well end there. The health
of the features is watched while it trains, and a variance term (Bardes et al. 2022) can be added.
"""

from typing import ClassVar, Literal, final

import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from s4mi.contract import Batch, Losses, MethodConfig, Pretrainer, Task, ViewSpec
from s4mi.errors import S4miError
from s4mi.maths.distributed import from_all_processes, mean_over_images
from s4mi.nets.backbone import Backbone
from s4mi.nets.weights import IMAGENET, classifier_of
from s4mi.records import TaskKind


class CassConfig(MethodConfig):
    """Settings of CASS; the defaults are the paper's."""

    summary: ClassVar[str] = "pre-train a CNN and a transformer without labels: each predicts the other's embedding"
    paper: ClassVar[str] = "Singh, Sizikova & Cirrone 2022, CASS: Cross Architectural Self-Supervision"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    starts: ClassVar[dict[str, str | None]] = {"weights": "none", "cnn_weights": None, "vit_weights": None}
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hint: ClassVar[str] = "set method.variance_weight=1, start from method.weights=imagenet, or lower optim.lr"
    default_views: ClassVar[ViewSpec] = ViewSpec(
        translation=0.05, scale=(0.8, 1.0), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02
    )

    name: Literal["cass"] = "cass"
    cnn: str = Field("resnet50", description="any timm name, or tiny_resnet")
    vit: str = Field("vit_base_patch16_224", description="any timm name, or tiny_vit, tiny_swin")
    weights: str = Field(IMAGENET, description="both networks start from: imagenet or none")
    cnn_weights: str | None = Field(None, description="the CNN starts from this file instead, or imagenet, or none")
    vit_weights: str | None = Field(None, description="the transformer likewise")
    embedding: PositiveInt = Field(1000, description="width of what is compared; paper: ImageNet's 1000 logits")
    variance_weight: float = Field(0.0, ge=0, description="of the term that keeps embeddings apart; paper: none")

    @model_validator(mode="after")
    def _two_networks(self) -> "CassConfig":
        if self.cnn == self.vit:
            raise ValueError(f"vit: is {self.vit!r}, as is cnn; name a transformer, the two must differ")
        return self

    @property
    def backbone_name(self) -> str:
        return f"{self.cnn} + {self.vit}"

    def build(self, task: Task) -> "Cass":
        return Cass(self, task)


@final
class Cass(Pretrainer):
    """A CNN and a transformer that learn from each other."""

    def __init__(self, config: CassConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.cnn = _embedder(config.cnn, config.cnn_weights or config.weights, config.embedding, task.image_size)
        self.vit = _embedder(config.vit, config.vit_weights or config.weights, config.embedding, task.image_size)

    def encoders(self) -> dict[str, nn.Module]:
        return {self.config.cnn: self.cnn[0], self.config.vit: self.vit[0]}

    def embedders(self) -> dict[str, nn.Module]:
        return {f"{self.config.cnn} logits": self.cnn, f"{self.config.vit} logits": self.vit}

    def loss(self, batch: Batch) -> Losses:
        z_cnn, z_vit = self.cnn(batch.images), self.vit(batch.images)  # (B, D)
        similarity = mean_over_images(2 - 2 * F.cosine_similarity(z_cnn, z_vit))
        if not self.config.variance_weight:
            return Losses(similarity=similarity)
        variance = (variance_hinge(z_cnn) + variance_hinge(z_vit)) / 2
        return Losses(similarity=similarity, variance=self.config.variance_weight * variance)


def variance_hinge(z: Tensor) -> Tensor:
    """Mean over dimensions of max(0, 1 - std), of embeddings (B, D) brought to length sqrt(D).

    VICReg's variance term (Bardes et al. 2022, equation 1) on what the cosine looks at, the direction alone; over the
    images of all processes.
    """
    scaled = from_all_processes(F.normalize(z, dim=1) * z.shape[1] ** 0.5)
    return F.relu(1 - (scaled.var(dim=0) + 1e-4).sqrt()).mean()


def _embedder(name: str, weights: str, width: int, image_size: int) -> nn.Sequential:
    """A backbone and the layer that ends it: that of its own ImageNet weights where they bring one as wide."""
    backbone = Backbone(name, image_size=image_size, weights=weights)
    known = classifier_of(name, weights)
    if known is not None and known.weight.shape == (width, backbone.features):
        return nn.Sequential(backbone, known)
    if known is not None and weights == IMAGENET and width != known.out_features:
        raise S4miError(
            f"method.embedding {width} is not the {known.out_features} logits of {name!r} with ImageNet weights; "
            f"take {known.out_features}, or method.weights=none"
        )
    return nn.Sequential(backbone, nn.Linear(backbone.features, width))
