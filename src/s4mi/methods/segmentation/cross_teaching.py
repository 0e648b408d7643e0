"""Cross teaching between a CNN and a transformer (Luo et al. 2022; S4MI section 4.2.1).

    p = cnn(x), q = transformer(x)                  of labelled images x, p_u and q_u of unlabelled ones
    supervised   ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    taught       Dice(p_u, argmax q_u)      +  Dice(q_u, argmax p_u)

Each network teaches the other what it sees in images that nobody has annotated. They see differently: one in
neighbourhoods, one across the image, so that their mistakes are not the same.
"""

from typing import ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from s4mi.contract import Batch, Losses, Moment, Segmenter, SemiSupervisedConfig, Task
from s4mi.maths.losses import class_weights, dice, dice_cross_entropy
from s4mi.maths.pseudo_labels import hard
from s4mi.nets.committee import Committee
from s4mi.nets.networks import build_network, network_label
from s4mi.nets.weights import IMAGENET, NONE


class CrossTeachingConfig(SemiSupervisedConfig):
    """Settings of cross teaching; the defaults are the paper's."""

    summary: ClassVar[str] = "train a CNN and a transformer on few masks; each labels the other images for the other"
    paper: ClassVar[str] = "Luo et al. 2022, Semi-Supervised Medical Image Segmentation via Cross Teaching"
    starts: ClassVar[dict[str, str | None]] = {"cnn_weights": NONE, "transformer_weights": NONE}

    name: Literal["cross_teaching"] = "cross_teaching"
    cnn: str = Field("small_unet", description="small_unet, an encoder for a U-Net on it, or ARCHITECTURE/ENCODER")
    transformer: str = Field("swin_unet", description="swin_unet, tiny_swin_unet, or as for cnn")
    cnn_weights: str = Field(NONE, description="of its encoder: imagenet, none, or the path of a weight file")
    transformer_weights: str = Field(IMAGENET, description="likewise")

    @property
    def backbone_name(self) -> str:
        return f"{network_label(self.cnn)} + {network_label(self.transformer)}"

    def build(self, task: Task) -> "CrossTeaching":
        return CrossTeaching(self, task)


@final
class CrossTeaching(Segmenter):
    """A CNN and a transformer that teach each other; either, or their average, answers."""

    weight: Tensor | None

    def __init__(self, config: CrossTeachingConfig, task: Task) -> None:
        super().__init__()
        classes, size = len(task.classes), task.image_size
        self.config = config
        self.committee = Committee(
            {
                "cnn": build_network(config.cnn, classes=classes, image_size=size, weights=config.cnn_weights),
                "transformer": build_network(
                    config.transformer, classes=classes, image_size=size, weights=config.transformer_weights
                ),
            }
        )
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)
        self.strength = config.unlabelled_weight

    @property
    def chosen(self) -> str:
        return self.committee.choice.name

    def choose(self, reading: str) -> None:
        self.committee.choice.take(reading)

    def readings(self, images: Tensor) -> dict[str, Tensor]:
        return self.committee.readings(images)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.committee(images)
        return z

    def before_step(self, moment: Moment) -> None:
        self.strength = self.config.strength(moment.progress)

    def loss(self, batch: Batch) -> Losses:
        x, y = torch.cat([batch.images, batch.known_unlabelled]), batch.known_masks
        p, p_u = self.committee["cnn"](x).tensor_split([len(y)])  # (B, K, H, W), (U, K, H, W)
        q, q_u = self.committee["transformer"](x).tensor_split([len(y)])
        supervised = dice_cross_entropy(p, y, self.weight) + dice_cross_entropy(q, y, self.weight)
        taught = dice(p_u, hard(q_u)) + dice(q_u, hard(p_u))
        return Losses(supervised=supervised, taught=self.strength * taught)
