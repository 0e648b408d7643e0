"""Settings of the method in methods/segmentation/supervised.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import (
    PAPER_SEGMENTATION_VIEWS,
    STRONG_SEGMENTATION_VIEWS,
    NetworkKind,
    Recipe,
    Task,
    TuningConfig,
    ViewSpec,
    WeightRule,
)
from s4mi.nets.architectures import ArchitectureName
from s4mi.nets.initial_weights import IMAGENET
from s4mi.nets.network_names import network_label
from s4mi.records import TaskKind
from s4mi.settings.built import built


class SupervisedConfig(TuningConfig):
    """Settings of the supervised U-Net; the defaults are the paper's, except for stronger views."""

    summary: ClassVar[str] = "Train a U-Net with a pre-trained encoder on the images that have masks"
    paper: ClassVar[str] = "Singh & Cirrone 2023, A Data-Efficient Deep Learning Framework (DEDL)"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    default_views: ClassVar[ViewSpec] = STRONG_SEGMENTATION_VIEWS
    paper_settings: ClassVar[dict[str, Any]] = {"views": PAPER_SEGMENTATION_VIEWS.model_dump()}
    networks: ClassVar[dict[str, NetworkKind]] = {"encoder": "segmenter"}

    name: Literal["dedl"] = "dedl"
    recipe: Recipe = Field("strong", description="Source of the defaults of views: s4mi's own, or the paper")
    architecture: ArchitectureName = Field(
        "unet", description="Architecture of segmentation_models_pytorch, built on the encoder"
    )
    encoder: str = Field(
        "resnet34", description="Encoder: tiny_resnet, any of segmentation_models_pytorch, tu- and a timm name, or auto"
    )
    weights: str = Field(
        IMAGENET, description="Initial weights of the encoder: imagenet, auto, none, or the path of a weight file"
    )
    decoder_channels: tuple[PositiveInt, ...] | None = Field(
        None,
        min_length=3,
        max_length=5,
        description="Widths of the decoder's blocks from the deepest up, whose number sets the depth of the network; "
        "none: 256, 128, 64, 32, 16",
    )
    attention: Literal["scse"] | None = Field(
        None, description="Attention in the decoder: scse is spatial and channel squeeze and excitation; none: without"
    )
    autoencoder: tuple[PositiveInt, ...] | None = Field(
        None,
        min_length=1,
        description="Hidden widths of the autoencoder that post-processes the logits; none: no post-processing",
    )
    criterion: Literal["cross_entropy", "dice_cross_entropy"] = Field(
        "cross_entropy", description="Loss: the cross-entropy, or the mean of Dice loss and cross-entropy"
    )
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the cross-entropy: none, inverse or median frequency of labelled training "
        "pixels, or a list of numbers",
    )

    @property
    def backbone_name(self) -> str:
        return network_label(f"{self.architecture}/{self.encoder}")

    def technique(self, pretraining: str | None = None) -> str:
        name = super().technique(pretraining)
        name = f"{name}, {self.segmenter_label}" if self.segmenter_label else name
        return name if self.autoencoder is None else f"{name} with autoencoder"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.supervised:Supervised")
