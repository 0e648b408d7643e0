"""Settings of the method in methods/segmentation/picie.py."""

from abc import ABC
from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import ClusterConfig, MultiCrop, NetworkKind, PretrainedConfig, Recipe, Task, ViewSpec
from s4mi.nets.initial_weights import NONE
from s4mi.settings.built import built

PAPER_JITTER = {"hue": 0.1, "grey": 0.2, "blur": 0.5, "blur_sigma": (0.1, 2.0)}
"""Photometric augmentation of Cho et al. where it is stronger than the default."""


class ClusteringConfig(ClusterConfig, PretrainedConfig, ABC):
    """Settings that PiCIE and MDC share.

    Medical images of one modality differ in illumination and overall colour, so that two clusters would separate images
    rather than pixels. The default recipe therefore subtracts the mean over an image from its features, and jitters
    colours less, because colour identifies tissue here. The paper's recipe does neither. A setting that is set
    explicitly overrides the recipe.
    """

    hints: ClassVar[tuple[str, ...]] = (
        "start from pre-trained weights (method.pretrained=RUN of DINO or CASS, or method.weights)", "lower optim.lr",
        "change method.clusters",
    )  # fmt: skip
    default_views: ClassVar[ViewSpec] = ViewSpec(
        rotation=0.0, scale=(0.5, 1.0), aspect=(3 / 4, 4 / 3), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.02,
        jitter=0.8,
    )  # fmt: skip
    paper_settings: ClassVar[dict[str, Any]] = {"centred": False, "views": PAPER_JITTER}
    default_optim: ClassVar[dict[str, Any]] = {"name": "sgd", "lr": 1e-4, "schedule": "step"}

    networks: ClassVar[dict[str, NetworkKind]] = {"backbone": "cnn"}

    backbone: str = Field(
        "resnet34",
        description="Backbone of the pixel features: any timm CNN, on which a feature pyramid is built, or ViT, or "
        "tiny_resnet, tiny_vit",
    )
    tuning: Literal["full", "head"] = Field(
        "full", description="What is trained: full, the whole network; head, the layers on a frozen backbone"
    )
    width: PositiveInt = Field(128, description="Number of channels of the pixel features")
    recipe: Recipe = Field(
        "strong", description="Source of the defaults of centred and views: s4mi's own, or the paper"
    )
    centred: bool = Field(True, description="Subtract the mean over an image from its features; paper: false")
    balance: bool = Field(True, description="Weight pixels inversely to the size of their cluster in the loss")
    kept_batches: PositiveInt = Field(16, description="Number of batches per epoch that k-means is fitted on")
    restarts: int = Field(
        2, ge=0, description="Number of times that training restarts after a collapse before it stops"
    )

    @property
    def restarts_allowed(self) -> int:
        return self.restarts

    def technique(self, pretraining: str | None = None) -> str:
        name = super().technique(pretraining or ("scratch" if self.weights == NONE else None))
        return name if self.tuning == "full" else f"{name}, frozen backbone"


class PicieConfig(ClusteringConfig):
    """Settings of PiCIE."""

    summary: ClassVar[str] = "Segment without masks: cluster pixels, invariant to colour and equivariant to geometry"
    paper: ClassVar[str] = (
        "Cho et al. 2021, PiCIE: Unsupervised Semantic Segmentation using Invariance and Equivariance"
    )

    name: Literal["picie"] = "picie"

    def crops(self, image_size: int) -> MultiCrop:
        identity = {"rotation": 0.0, "flip": False, "scale": (1.0, 1.0), "translation": 0.0, "aspect": (1.0, 1.0)}
        return MultiCrop((self.views, self.views.model_copy(update=identity)))

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.picie:PixelClustering")


class MdcConfig(ClusteringConfig):
    """Settings of modified DeepCluster."""

    summary: ClassVar[str] = "Segment without masks: cluster pixels of one view (the baseline of PiCIE)"
    paper: ClassVar[str] = "Caron et al. 2018, Deep Clustering; modified to pixels by Cho et al. 2021 (MDC)"

    name: Literal["mdc"] = "mdc"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.picie:PixelClustering")
