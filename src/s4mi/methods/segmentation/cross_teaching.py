"""Cross teaching between a CNN and a transformer (Luo et al. 2022; S4MI section 4.2.1).

    x, y           (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, q           cnn(x), transformer(x)                     (B, K, H, W) logits
    p_u, q_u       cnn(x_u), transformer(x_u)                 (U, K, H, W) logits
    supervised     ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    pseudo_label   λ [Dice(p_u, argmax q_u)   +  Dice(q_u, argmax p_u)]      no gradient through the argmax

Each network is trained on the other's predictions for unlabelled images. Convolutions use local context and attention
global context, so that the two make different mistakes.
"""

from typing import Any, ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from s4mi.contract import (
    PAPER_SEGMENTATION_VIEWS,
    Batch,
    Losses,
    NetworkKind,
    Recipe,
    SemiSupervised,
    SemiSupervisedConfig,
    Task,
)
from s4mi.maths.losses import class_weights, dice, dice_cross_entropy
from s4mi.maths.pseudo_labels import confident
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for, network_label
from s4mi.nets.tuned_networks import tune_networks
from s4mi.nets.weights import IMAGENET, NONE


class CrossTeachingConfig(SemiSupervisedConfig):
    """Settings of cross teaching.

    Pseudo-labels of untrained networks are noise, and those of the weaker network pass its mistakes on. The default
    recipe therefore ramps the weight of the pseudo-label loss up to 0.1 over all of training, as the authors' code
    does, and fills three quarters of a batch with labelled images. The paper's recipe uses weight 1 from the first step
    half of a batch, and weaker views. A setting that is set explicitly overrides the recipe.
    """

    summary: ClassVar[str] = "Train a CNN and a transformer on few masks, each on the other's pseudo-labels"
    paper: ClassVar[str] = "Luo et al. 2022, Semi-Supervised Medical Image Segmentation via Cross Teaching"
    starts: ClassVar[dict[str, str | None]] = {"cnn_weights": NONE, "transformer_weights": NONE}
    networks: ClassVar[dict[str, NetworkKind]] = {"cnn": "segmenter", "transformer": "segmenter"}
    paper_settings: ClassVar[dict[str, Any]] = {
        "unlabelled_weight": 1.0,
        "ramp_up": 0.0,
        "labelled_share": 0.5,
        "views": PAPER_SEGMENTATION_VIEWS.model_dump(),
    }

    name: Literal["cross_teaching"] = "cross_teaching"
    cnn: str = Field(
        "small_unet",
        description="CNN: small_unet, the name of an encoder (makes a U-Net), or ARCHITECTURE/ENCODER",
    )
    transformer: str = Field(
        "swin_unet",
        description="Transformer: swin_unet, tiny_swin_unet, dpt/VIT, frozen/NAME (a light decoder on a frozen timm "
        "encoder), or any network that cnn accepts",
    )
    cnn_weights: str = Field(
        NONE, description="Initial weights of the CNN's encoder: imagenet, auto, none, or the path of a weight file"
    )
    transformer_weights: str = Field(
        IMAGENET,
        description="Initial weights of the transformer's encoder: imagenet, auto, none, or the path of a weight file",
    )
    recipe: Recipe = Field(
        "strong",
        description="Source of the defaults of unlabelled_weight, ramp_up, labelled_share and views: s4mi's own, or "
        "the paper",
    )
    unlabelled_weight: float = Field(
        0.1, ge=0, description="Weight of the pseudo-label loss on unlabelled images; paper: 1"
    )
    ramp_up: float = Field(
        1.0, ge=0, le=1, description="Share of training over which unlabelled_weight ramps up; paper: 0"
    )
    labelled_share: float = Field(
        0.75,
        gt=0,
        lt=1,
        description="Share of labelled images in a batch; with masks for all images, all but one of the batch; "
        "paper: 0.5",
    )
    confidence: float = Field(
        0.0, ge=0, lt=1, description="Minimum probability of a pseudo-label; pixels below it are ignored; paper: 0"
    )

    @property
    def backbone_name(self) -> str:
        return f"{network_label(self.cnn)} + {network_label(self.transformer)}"

    def build(self, task: Task) -> "CrossTeaching":
        return CrossTeaching(self, task)


@final
class CrossTeaching(SemiSupervised):
    """A CNN and a transformer that teach each other; validation chooses one or their average for prediction."""

    config: CrossTeachingConfig
    weight: Tensor | None

    def __init__(self, config: CrossTeachingConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        cnn = network_for(task, config.cnn, config.cnn_weights)
        transformer = network_for(task, config.transformer, config.transformer_weights)
        self.committee = NetworkEnsemble({"cnn": cnn, "transformer": transformer})
        self.tunings = tune_networks(
            {f"cnn={config.cnn}": cnn, f"transformer={config.transformer}": transformer}, config, task
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
        pseudo_label = dice(p_u, self._pseudo_labels(q_u)) + dice(q_u, self._pseudo_labels(p_u))
        return Losses(supervised=supervised, pseudo_label=self.strength * pseudo_label)

    def _pseudo_labels(self, logits: Tensor) -> Tensor:
        """(U, K, H, W) logits of one network → (U, H, W) targets of the other."""
        return confident(logits, self.config.confidence)
