"""Settings of the method in methods/pretraining/simclr.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import MethodConfig, MultiCrop, Task, ViewSpec
from s4mi.nets.initial_weights import IMAGENET
from s4mi.records import TaskKind
from s4mi.settings.built import built


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

    def build(self, task: Task) -> Any:
        return built(self, task, by="pretraining.simclr:Simclr")
