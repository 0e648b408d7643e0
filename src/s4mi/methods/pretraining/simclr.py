"""SimCLR: a simple framework for contrastive learning (Chen et al. 2020).

x_0, x_1   (B, 3, H, W) two views of each image
z          head(backbone(x)) / ‖head(backbone(x))‖       (2B, D) embeddings of unit length
loss       mean over i of -log [exp(z_i · z_j / τ) / Σ_{k ≠ i} exp(z_i · z_k / τ)],   j: the other view of image i
"""

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from s4mi.contract import Batch, Losses, MethodConfig, MultiCrop, Pretrainer, Task, ViewSpec
from s4mi.maths.distributed import from_all_processes
from s4mi.nets.backbone import Backbone
from s4mi.nets.heads import ProjectionHead
from s4mi.nets.weights import IMAGENET
from s4mi.records import TaskKind


class SimclrConfig(MethodConfig):
    """Settings of SimCLR; the defaults are the paper's, with the temperature for a small data set (CIFAR-10)."""

    summary: ClassVar[str] = "Pre-train a backbone without labels: contrast two views of an image with other images"
    paper: ClassVar[str] = "Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hints: ClassVar[tuple[str, ...]] = (
        "raise batch_size", "lower method.temperature or optim.lr", "start from method.weights=imagenet",
    )  # fmt: skip
    default_views: ClassVar[ViewSpec] = ViewSpec(
        scale=(0.08, 1.0), aspect=(3 / 4, 4 / 3), brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, jitter=0.8,
        grey=0.2, blur=0.5, blur_sigma=(0.1, 2.0),
    )  # fmt: skip

    name: Literal["simclr"] = "simclr"
    backbone: str = Field("resnet50", description="Backbone: any timm name, or tiny_resnet, tiny_vit, tiny_swin")
    weights: str = Field(IMAGENET, description="Initial weights: imagenet, auto, none, or the path of a weight file")
    temperature: float = Field(0.5, gt=0, description="Temperature of the contrastive loss")
    hidden: PositiveInt = Field(2048, description="Width of the hidden layer of the projection head")
    projection: PositiveInt = Field(128, description="Dimensions of the embeddings, the output of the projection head")

    @property
    def backbone_name(self) -> str:
        return self.backbone

    def crops(self, image_size: int) -> MultiCrop:
        return MultiCrop((self.views, self.views))

    def build(self, task: Task) -> "Simclr":
        return Simclr(self, task)


@final
class Simclr(Pretrainer):
    """A backbone and a projection head."""

    def __init__(self, config: SimclrConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone, image_size=task.image_size, weights=config.weights)
        self.head = ProjectionHead(self.backbone.features, hidden=config.hidden, projection=config.projection)

    def encoders(self) -> dict[str, nn.Module]:
        return {self.config.backbone: self.backbone}

    def loss(self, batch: Batch) -> Losses:
        z = self.head(self.backbone(batch.images)).float()
        return Losses(contrast=contrast(*z.chunk(2), temperature=self.config.temperature))


def contrast(z_0: Tensor, z_1: Tensor, *, temperature: float) -> Tensor:
    """NT-Xent loss of (B, D) embeddings of two views; the other images of all processes are negatives."""
    z_0, z_1 = from_all_processes(F.normalize(z_0, dim=1)), from_all_processes(F.normalize(z_1, dim=1))
    z = torch.cat([z_0, z_1])
    diagonal = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = (z @ z.T / temperature).masked_fill(diagonal, -torch.inf)
    other_view = torch.arange(len(z), device=z.device).roll(len(z_0))
    return F.cross_entropy(similarity, other_view)
