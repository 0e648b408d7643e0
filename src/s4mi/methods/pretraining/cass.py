"""CASS: cross-architectural self-supervision (Singh, Sizikova & Cirrone 2022; S4MI section 3.1).

    x              (B, 3, H, W) images, each augmented once
    z_cnn, z_vit   head(cnn(x)), head(vit(x))              (B, D) embeddings, D = 1000 as for ImageNet's logits
    similarity     mean over the batch of 2 - 2 cos(z_cnn, z_vit)
    variance       λ ½ [V(z_cnn) + V(z_vit)],  V(z) = mean over dimensions of max(0, 1 - std(z))      optional

Both networks are updated; there are no negatives and there is no stop-gradient. Constant embeddings minimise the
similarity loss, and training from random weights may collapse to them. Feature collapse is monitored during training,
and the variance term (Bardes et al. 2022) counteracts it.
"""

from typing import Any, ClassVar, Literal, final

import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from s4mi.contract import AUTO, Batch, Losses, MethodConfig, NetworkKind, Pretrainer, Task, ViewSpec
from s4mi.errors import S4miError
from s4mi.maths.distributed import from_all_processes, mean_over_images
from s4mi.nets.backbone import Backbone
from s4mi.nets.weights import IMAGENET, NONE, classifier_of
from s4mi.records import TaskKind


class CassConfig(MethodConfig):
    """Settings of CASS; the defaults are the paper's."""

    summary: ClassVar[str] = "Pre-train a CNN and a transformer without labels to give an image the same embedding"
    paper: ClassVar[str] = "Singh, Sizikova & Cirrone 2022, CASS: Cross Architectural Self-Supervision"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    starts: ClassVar[dict[str, str | None]] = {"weights": "none", "cnn_weights": None, "vit_weights": None}
    networks: ClassVar[dict[str, NetworkKind]] = {"cnn": "cnn", "vit": "transformer"}
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hints: ClassVar[tuple[str, ...]] = (
        "set method.variance_weight=1", "start from method.weights=imagenet", "lower optim.lr",
    )  # fmt: skip
    default_views: ClassVar[ViewSpec] = ViewSpec(
        translation=0.05, scale=(0.8, 1.0), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02
    )

    name: Literal["cass"] = "cass"
    cnn: str = Field("resnet50", description="CNN: any timm name, or tiny_resnet")
    vit: str = Field("vit_base_patch16_224", description="Transformer: any timm name, or tiny_vit, tiny_swin")
    weights: str = Field(IMAGENET, description="Initial weights of both networks: imagenet, auto or none")
    cnn_weights: str | None = Field(
        None,
        description="Initial weights of the CNN: imagenet, auto, none, or the path of a weight file; unset: as in "
        "weights",
    )
    vit_weights: str | None = Field(
        None,
        description="Initial weights of the transformer: imagenet, auto, none, or the path of a weight file; unset: as "
        "in weights",
    )
    embedding: PositiveInt = Field(
        1000, description="Dimensions of the embeddings; paper: 1000, the number of ImageNet's logits"
    )
    variance_weight: float = Field(
        0.0, ge=0, description="Weight of the variance loss against feature collapse; paper: 0"
    )

    @model_validator(mode="before")
    @classmethod
    def _auto_for_each(cls, settings: Any) -> Any:
        """Expand `weights: auto` to one for each network, whose weights may differ."""
        if not isinstance(settings, dict) or settings.get("weights") != AUTO:
            return settings
        each = {name: settings.get(name) or AUTO for name in ("cnn_weights", "vit_weights")}
        return {**settings, "weights": NONE, **each}

    @model_validator(mode="after")
    def _two_networks(self) -> "CassConfig":
        if self.cnn == self.vit != AUTO:
            raise ValueError(f"cnn and vit must differ (both are {self.vit!r}); set vit to a transformer")
        return self

    @property
    def backbone_name(self) -> str:
        return f"{self.cnn} + {self.vit}"

    def build(self, task: Task) -> "Cass":
        return Cass(self, task)


@final
class Cass(Pretrainer):
    """A CNN and a transformer trained to agree."""

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
    """Mean over dimensions of max(0, 1 - std) of (B, D) embeddings scaled to length √D, over all processes.

    This is the variance term of VICReg (Bardes et al. 2022, equation 1) on directions, as the cosine ignores length.
    """
    scaled = from_all_processes(F.normalize(z, dim=1) * z.shape[1] ** 0.5)
    return F.relu(1 - (scaled.var(dim=0) + 1e-4).sqrt()).mean()


def _embedder(name: str, weights: str, width: int, image_size: int) -> nn.Sequential:
    """A backbone with a linear layer to `width` embedding dimensions: the weights' own classifier if it has that width.

    Raises:
        S4miError: ImageNet weights whose classifier has another width.
    """
    backbone = Backbone(name, image_size=image_size, weights=weights)
    classifier = classifier_of(name, weights)
    if classifier is not None and classifier.weight.shape == (width, backbone.features):
        return nn.Sequential(backbone, classifier)
    if classifier is not None and weights == IMAGENET and width != classifier.out_features:
        raise S4miError(
            f"method.embedding must be {classifier.out_features}, the logits of {name!r} with ImageNet weights "
            f"(given {width}); or set method.weights=none"
        )
    return nn.Sequential(backbone, nn.Linear(backbone.features, width))
