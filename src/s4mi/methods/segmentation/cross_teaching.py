"""Cross teaching between a CNN and a transformer (Luo et al. 2022; S4MI section 4.2.1).

    p = cnn(x), q = transformer(x)                  of labelled images x, p_u and q_u of unlabelled ones
    supervised   ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    taught       Dice(p_u, argmax q_u)      +  Dice(q_u, argmax p_u)

Each network teaches the other what it sees in images that nobody has annotated. They see differently: one in
neighbourhoods, one across the image, so that their mistakes are not the same.
"""

from typing import Any, ClassVar, Literal, final

import torch
from pydantic import Field, model_validator
from torch import Tensor

from s4mi.contract import Batch, Losses, SemiSupervised, SemiSupervisedConfig, Task
from s4mi.maths.losses import class_weights, dice, dice_cross_entropy
from s4mi.maths.pseudo_labels import confident
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for, network_label
from s4mi.nets.weights import IMAGENET, NONE


class CrossTeachingConfig(SemiSupervisedConfig):
    """Settings of cross teaching.

    Networks that have not learnt anything yet teach each other nothing good, and a network that stays behind teaches
    its mistakes. The default recipe therefore lets the weight of what is taught rise over all of training to a tenth,
    as the authors' code does, and has masks for three quarters of a batch. The paper's has the full weight from the
    first step on, and masks for half. A setting that is given goes before its recipe's.
    """

    summary: ClassVar[str] = "train a CNN and a transformer on few masks; each labels the other images for the other"
    paper: ClassVar[str] = "Luo et al. 2022, Semi-Supervised Medical Image Segmentation via Cross Teaching"
    starts: ClassVar[dict[str, str | None]] = {"cnn_weights": NONE, "transformer_weights": NONE}

    name: Literal["cross_teaching"] = "cross_teaching"
    cnn: str = Field("small_unet", description="small_unet, an encoder for a U-Net on it, or ARCHITECTURE/ENCODER")
    transformer: str = Field("swin_unet", description="swin_unet, tiny_swin_unet, or as for cnn")
    cnn_weights: str = Field(NONE, description="of its encoder: imagenet, none, or the path of a weight file")
    transformer_weights: str = Field(IMAGENET, description="likewise")
    recipe: Literal["s4mi", "paper"] = Field(
        "s4mi", description="what unlabelled_weight, ramp_up and labelled_share are unless given"
    )
    unlabelled_weight: float = Field(0.1, ge=0, description="of what is learnt from images without masks; paper: 1")
    ramp_up: float = Field(1.0, ge=0, le=1, description="share of training over which that weight rises; paper: 0")
    labelled_share: float = Field(
        0.75,
        gt=0,
        lt=1,
        description="of a batch that has masks; all but one image where every image has one; paper: 0.5",
    )
    confidence: float = Field(0.0, ge=0, lt=1, description="least probability of a label that is learnt from; paper: 0")

    @model_validator(mode="before")
    @classmethod
    def _from_the_recipe(cls, given: Any) -> Any:
        """The paper's settings lie below those that are given."""
        if not isinstance(given, dict) or given.get("recipe") != "paper":
            return given
        return {"unlabelled_weight": 1.0, "ramp_up": 0.0, "labelled_share": 0.5, **given}

    @property
    def backbone_name(self) -> str:
        return f"{network_label(self.cnn)} + {network_label(self.transformer)}"

    def build(self, task: Task) -> "CrossTeaching":
        return CrossTeaching(self, task)


@final
class CrossTeaching(SemiSupervised):
    """A CNN and a transformer that teach each other; either, or their average, answers."""

    config: CrossTeachingConfig
    weight: Tensor | None

    def __init__(self, config: CrossTeachingConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.committee = NetworkEnsemble(
            {
                "cnn": network_for(task, config.cnn, config.cnn_weights),
                "transformer": network_for(task, config.transformer, config.transformer_weights),
            }
        )
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    @property
    def members(self) -> NetworkEnsemble:
        return self.committee

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.committee(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        x, y = torch.cat([batch.images, batch.known_unlabelled]), batch.known_masks
        p, p_u = self.committee["cnn"](x).tensor_split([len(y)])  # (B, K, H, W), (U, K, H, W)
        q, q_u = self.committee["transformer"](x).tensor_split([len(y)])
        supervised = dice_cross_entropy(p, y, self.weight) + dice_cross_entropy(q, y, self.weight)
        taught = dice(p_u, self._labels(q_u)) + dice(q_u, self._labels(p_u))
        return Losses(supervised=supervised, taught=self.strength * taught)

    def _labels(self, logits: Tensor) -> Tensor:
        """(U, H, W) what one network says to the other."""
        return confident(logits, self.config.confidence)
