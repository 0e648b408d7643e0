"""Settings of the method in methods/pretraining/dino.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, field_validator

from s4mi.contract import MethodConfig, MultiCrop, Task, ViewSpec
from s4mi.nets.initial_weights import IMAGENET
from s4mi.records import TaskKind
from s4mi.settings.built import built


class DinoConfig(MethodConfig):
    """Settings of DINO; the defaults are the paper's, except for changes that small data sets and random weights need.

    These are 4,096 prototypes instead of 65,536, and batch normalisation in the head: without it, features of similar
    images leave the head nearly parallel, and the teacher's output is the same for all images (docs/decisions/0010).
    """

    summary: ClassVar[str] = (
        "Pre-train a backbone without labels: a student predicts its teacher's output for another crop"
    )
    paper: ClassVar[str] = "Caron et al. 2021, Emerging Properties in Self-Supervised Vision Transformers (DINO)"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hints: ClassVar[tuple[str, ...]] = (
        "lower method.teacher_temperature or optim.lr", "set method.batch_norm=true",
        "start from method.weights=imagenet",
    )  # fmt: skip
    default_views: ClassVar[ViewSpec] = ViewSpec(
        scale=(0.4, 1.0), aspect=(3 / 4, 4 / 3), brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, jitter=0.8,
        grey=0.2, blur=0.55, blur_sigma=(0.1, 2.0), solarise=0.1,
    )  # fmt: skip

    name: Literal["dino"] = "dino"
    backbone: str = Field("resnet50", description="Backbone: any timm name, or tiny_resnet, tiny_vit, tiny_swin")
    weights: str = Field(IMAGENET, description="Initial weights: imagenet, auto, none, or the path of a weight file")
    local_crops: int = Field(6, ge=0, description="Number of local crops per image, besides the two global crops")
    local_size: PositiveInt | None = Field(
        None,
        description="Side of the local crops in pixels; none: 3/7 of the image size (paper: 96 of 224), rounded to a "
        "multiple of 16",
    )
    local_scale: tuple[float, float] = Field(
        (0.05, 0.4), description="Minimum and maximum area of the local crops as a share of the image"
    )
    hidden: PositiveInt = Field(2048, description="Width of the hidden layers of the head")
    bottleneck: PositiveInt = Field(256, description="Width of the head's bottleneck, the layer before the prototypes")
    batch_norm: bool = Field(True, description="Use batch normalisation in the head; paper: false")
    prototypes: PositiveInt = Field(
        4096, description="Number of prototypes, the outputs of the head; at most about the number of images"
    )
    student_temperature: float = Field(0.1, gt=0, description="Temperature of the student's softmax")
    teacher_temperature: float = Field(
        0.04, gt=0, description="Temperature of the teacher's softmax after warm-up; lower is sharper"
    )
    first_teacher_temperature: float = Field(
        0.04, gt=0, description="Temperature of the teacher's softmax in the first epoch, where warm-up starts"
    )
    warmup_epochs: int = Field(
        30, ge=0, description="Number of epochs of linear warm-up from first_teacher_temperature to teacher_temperature"
    )
    momentum: float = Field(
        0.996, ge=0, le=1, description="Initial momentum of the teacher's exponential moving average; it rises to 1"
    )
    centre_momentum: float = Field(
        0.9, ge=0, lt=1, description="Momentum of the moving average of the teacher's centre"
    )
    frozen_epochs: int = Field(
        1, ge=0, description="Number of epochs at the start in which the prototypes are not updated"
    )

    @field_validator("local_scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"{list(scale)} is not a range of areas; pass two numbers, 0 < minimum <= maximum <= 1")
        return scale

    @property
    def backbone_name(self) -> str:
        return self.backbone

    def local_side(self, image_size: int) -> int:
        """Side of the local crops in pixels."""
        return self.local_size or max(16, 16 * round(image_size * 3 / 7 / 16))

    def crops(self, image_size: int) -> MultiCrop:
        local = self.views.model_copy(update={"scale": self.local_scale})
        return MultiCrop((self.views,) * 2, (local,) * self.local_crops, self.local_side(image_size))

    def temperature(self, epoch: int) -> float:
        """Temperature of the teacher in an epoch, counted from 0."""
        if epoch >= self.warmup_epochs:
            return self.teacher_temperature
        progress = epoch / max(1, self.warmup_epochs - 1)
        return self.first_teacher_temperature + progress * (self.teacher_temperature - self.first_teacher_temperature)

    def build(self, task: Task) -> Any:
        return built(self, task, by="pretraining.dino:Dino")
