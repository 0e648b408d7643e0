"""DEDL: a U-Net with a pre-trained encoder, supervised by masks (Singh & Cirrone 2023; S4MI section 3.2.1).

z = unet(x)
CE(z, y)                    or, as a setting, 1/2 [Dice(z, y) + CE(z, y)]
"""

from typing import ClassVar, Literal, final

from pydantic import Field, PositiveInt
from torch import Tensor

from s4mi.contract import Batch, Losses, MethodConfig, Segmenter, Task, ViewSpec
from s4mi.errors import S4miError
from s4mi.maths.losses import WeightRule, class_weights, cross_entropy, dice
from s4mi.nets.unet import UNet
from s4mi.nets.weights import IMAGENET
from s4mi.records import TaskKind


class SupervisedConfig(MethodConfig):
    """Settings of the supervised U-Net; the defaults are the paper's."""

    summary: ClassVar[str] = "train a U-Net with a pre-trained encoder on the images that have masks"
    paper: ClassVar[str] = "Singh & Cirrone 2023, A Data-Efficient Deep Learning Framework (DEDL)"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    default_views: ClassVar[ViewSpec] = ViewSpec()

    name: Literal["dedl"] = "dedl"
    encoder: str = Field("resnet34", description="any encoder of segmentation_models_pytorch, or tu- and a timm name")
    weights: str = Field(IMAGENET, description="of the encoder: imagenet, none, or the path of a weight file")
    decoder_channels: tuple[PositiveInt, ...] = Field(
        (256, 128, 64, 32, 16),
        min_length=3,
        max_length=5,
        description="widths from the deepest block up; sets the depth",
    )
    attention: Literal["scse"] | None = Field(None, description="squeeze and excitation in the decoder")
    criterion: Literal["cross_entropy", "dice_cross_entropy"] = "cross_entropy"
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="of the cross-entropy: none, inverse or median frequency of labelled training pixels, or numbers",
    )

    @property
    def backbone_name(self) -> str:
        return f"{self.encoder} U-Net"

    def build(self, task: Task) -> "Supervised":
        return Supervised(self, task)


@final
class Supervised(Segmenter):
    """A U-Net and its cross-entropy."""

    weight: Tensor | None

    def __init__(self, config: SupervisedConfig, task: Task) -> None:
        super().__init__()
        stride = 2 ** len(config.decoder_channels)
        if task.image_size % stride:
            near = max(stride, round(task.image_size / stride) * stride)
            raise S4miError(
                f"data.image_size {task.image_size} is no multiple of the U-Net's stride {stride}; take {near}"
            )
        self.config = config
        self.unet = UNet(
            config.encoder,
            classes=len(task.classes),
            image_size=task.image_size,
            weights=config.weights,
            decoder_channels=config.decoder_channels,
            attention=config.attention,
        )
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.unet(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        z, y = self.logits(batch.images), batch.known_masks
        if self.config.criterion == "cross_entropy":
            return Losses(cross_entropy=cross_entropy(z, y, self.weight))
        return Losses(dice=dice(z, y) / 2, cross_entropy=cross_entropy(z, y, self.weight) / 2)
