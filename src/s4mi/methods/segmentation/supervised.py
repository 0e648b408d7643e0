"""DEDL: a U-Net with a pre-trained encoder, trained on masks (Singh & Cirrone 2023; S4MI section 3.2.1).

    x, y    (B, 3, H, W) images and their (B, H, W) masks
    z       unet(x)                       (B, K, H, W) logits
    loss    L(z, y),                      L = CE, or ½ [Dice + CE] with criterion=dice_cross_entropy

Of the encoder everything is trained, nothing, its last stages, or low-rank updates of its weights (LoRA).

With autoencoder post-processing, an MLP autoencoder over the rows of the logits is trained together with the U-Net:

    z'      autoencoder(z)                (B, K, H, W) logits
    loss    L(z, y) + L(z', y)
"""

from typing import Any, ClassVar, Literal, final

from pydantic import Field, PositiveInt
from torch import Tensor

from s4mi.contract import (
    PAPER_SEGMENTATION_VIEWS,
    STRONG_SEGMENTATION_VIEWS,
    Batch,
    Batches,
    Losses,
    NetworkKind,
    Recipe,
    Segmenter,
    Task,
    TrainState,
    TuningConfig,
    ViewSpec,
    WeightRule,
)
from s4mi.maths.losses import class_weights, cross_entropy, dice
from s4mi.nets.autoencoder import PostProcessed
from s4mi.nets.lora import merge_lora
from s4mi.nets.networks import network_label
from s4mi.nets.segmentation import log_padding
from s4mi.nets.smp_net import ArchitectureName, SmpNet
from s4mi.nets.tuning import EncoderTuning
from s4mi.nets.weights import IMAGENET
from s4mi.records import TaskKind


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

    def build(self, task: Task) -> "Supervised":
        return Supervised(self, task)


@final
class Supervised(Segmenter):
    """A U-Net; with an autoencoder, validation chooses between raw and post-processed logits for prediction."""

    weight: Tensor | None

    def __init__(self, config: SupervisedConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        net = SmpNet(
            config.encoder,
            architecture=config.architecture,
            classes=len(task.classes),
            image_size=task.image_size,
            weights=config.weights,
            decoder_channels=config.decoder_channels,
            attention=config.attention,
        )
        log_padding(task.image_size, net.stride)
        size = task.image_size + -task.image_size % net.stride
        self.tuning = EncoderTuning(net.encoder_module, config, name=config.encoder, image_size=size)
        hidden = config.autoencoder
        self.net = net if hidden is None else PostProcessed(net, width=task.image_size, hidden=hidden)
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    @property
    def members(self) -> PostProcessed | None:
        return self.net if isinstance(self.net, PostProcessed) else None

    def before_epoch(self, batches: Batches) -> None:
        self.tuning.before_epoch()

    def before_step(self, state: TrainState) -> None:
        self.tuning.before_step(state)

    def after_backward(self, state: TrainState) -> None:
        self.tuning.after_backward()

    def before_inference(self) -> None:
        merge_lora(self.net)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.net(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        x, y = batch.images, batch.known_masks
        if self.members is None:
            return self._losses(self.logits(x), y)
        z, post_processed = self.members.member_logits(x).values()
        return Losses(**self._losses(z, y), post_processed=self._losses(post_processed, y).total)

    def _losses(self, z: Tensor, y: Tensor) -> Losses:
        if self.config.criterion == "cross_entropy":
            return Losses(cross_entropy=cross_entropy(z, y, self.weight))
        return Losses(dice=dice(z, y) / 2, cross_entropy=cross_entropy(z, y, self.weight) / 2)
