"""Settings of the method in methods/pretraining/simmim.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import MethodConfig, Task, ViewSpec
from s4mi.nets.initial_weights import IMAGENET
from s4mi.records import TaskKind
from s4mi.settings.built import built


class SimmimConfig(MethodConfig):
    """Settings of SimMIM; the defaults are the paper's."""

    summary: ClassVar[str] = "Pre-train a backbone without labels: reconstruct masked squares of an image"
    paper: ClassVar[str] = "Xie et al. 2022, SimMIM: A Simple Framework for Masked Image Modeling"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hints: ClassVar[tuple[str, ...]] = (
        "lower optim.lr", "change method.masked", "start from method.weights=imagenet",
    )  # fmt: skip
    default_views: ClassVar[ViewSpec] = ViewSpec(rotation=0, scale=(0.67, 1.0), aspect=(3 / 4, 4 / 3))

    name: Literal["simmim"] = "simmim"
    backbone: str = Field(
        "vit_base_patch16_224", description="Backbone: any timm name, or tiny_resnet, tiny_vit, tiny_swin"
    )
    weights: str = Field(IMAGENET, description="Initial weights: imagenet, auto, none, or the path of a weight file")
    square: PositiveInt = Field(32, description="Side of a masked square in pixels")
    masked: float = Field(0.6, gt=0, lt=1, description="Share of the squares that are masked")

    @property
    def backbone_name(self) -> str:
        return self.backbone

    def build(self, task: Task) -> Any:
        return built(self, task, by="pretraining.simmim:Simmim")
