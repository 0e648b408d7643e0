"""Settings of the method in methods/pretraining/diet.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from s4mi.contract import Task, Tuning, TuningConfig, ViewSpec
from s4mi.nets.initial_weights import IMAGENET
from s4mi.records import TaskKind
from s4mi.settings.built import built


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

    def build(self, task: Task) -> Any:
        return built(self, task, by="pretraining.diet:Diet")
