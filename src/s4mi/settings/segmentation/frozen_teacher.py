"""Settings of the method in methods/segmentation/frozen_teacher.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from s4mi.contract import NetworkConfig, NetworkKind, Task, ViewSpec
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built

STRONG = ViewSpec(
    brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05, jitter=0.8, grey=0.1, blur=0.5, blur_sigma=(0.5, 2.0)
)
"""Colour augmentation of a strong view; its geometry is that of the weak view."""


class FrozenTeacherConfig(NetworkConfig):
    """Settings of a frozen teacher and its student."""

    summary: ClassVar[str] = "Train a U-Net on few masks and the pseudo-labels of a head on a frozen encoder"
    paper: ClassVar[str] = "Lee 2013, Pseudo-Label; Oquab et al. 2024, DINOv2"
    starts: ClassVar[dict[str, str | None]] = {"weights": "none", "teacher_weights": "none"}
    networks: ClassVar[dict[str, NetworkKind]] = {"network": "segmenter", "teacher": "flexible_encoder"}

    name: Literal["frozen_teacher"] = "frozen_teacher"
    teacher: str = Field(
        "vit_small_patch14_dinov2",
        description="Frozen encoder of the teacher: the name of a timm model, tiny_resnet, tiny_vit, tiny_swin, or "
        "auto (the best with weights at hand)",
    )
    teacher_weights: str = Field(
        "imagenet",
        description="Weights of the teacher's encoder: imagenet, auto (the best at hand), none, or the path of a "
        "weight file",
    )
    teacher_head: Literal["decoder", "linear"] = Field(
        "decoder", description="Heads of the teacher: a light decoder with a branch for edges, or a linear layer"
    )
    teacher_steps: PositiveInt = Field(
        150, description="Number of steps in which each decoder of the teacher is fitted"
    )
    folds: int = Field(3, ge=2, le=10, description="Number of heads of the teacher, each fitted without a fold")
    precision: PositiveFloat = Field(
        0.95,
        le=1,
        description="Mean precision of the classes of kept pseudo-labels, on masks that their head has not seen",
    )
    keep: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the pixels of each predicted class to keep, the most probable ones; none: the largest "
        "share that reaches method.precision",
    )
    predicts: Literal["best", "student"] = Field(
        "best",
        description="What predicts: the best of student, teacher and their average by validation, or the student, "
        "which needs no frozen encoder once it is trained",
    )
    strong: ViewSpec = Field(STRONG, description="Colour augmentation of the student's views of images without masks")

    @property
    def backbone_name(self) -> str:
        return f"{network_label(self.network)} taught by {self.teacher}"

    @property
    def strong_views(self) -> tuple[ViewSpec, ...]:
        return (self.strong,)

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.frozen_teacher:FrozenTeacher")
