"""Cross pseudo supervision (Chen et al. 2021): two networks of one kind that start from different weights.

    p, p_u and q, q_u                               of labelled and unlabelled images, by the one and the other network
    supervised   ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    crossed      CE(p_u, argmax q_u)        +  CE(q_u, argmax p_u)

The paper crosses the labelled images too; here, as in its medical successors, those have their masks. Cross teaching is
its sister with two kinds of networks and Dice.
"""

from typing import ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor

from s4mi.contract import Batch, Losses, NetworkConfig, SemiSupervised, Task
from s4mi.maths.losses import class_weights, cross_entropy, dice_cross_entropy
from s4mi.maths.pseudo_labels import hard
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for, network_label


class CrossPseudoSupervisionConfig(NetworkConfig):
    """Settings of cross pseudo supervision; its weight is that of the paper's experiments on Cityscapes and VOC."""

    summary: ClassVar[str] = "train two networks of one kind on few masks; each labels the other images for the other"
    paper: ClassVar[str] = "Chen et al. 2021, Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision"

    name: Literal["cross_pseudo_supervision"] = "cross_pseudo_supervision"
    unlabelled_weight: float = Field(1.5, ge=0, description="of what is learnt from images without masks")

    @property
    def backbone_name(self) -> str:
        return f"2 × {network_label(self.network)}"

    def build(self, task: Task) -> "CrossPseudoSupervision":
        return CrossPseudoSupervision(self, task)


@final
class CrossPseudoSupervision(SemiSupervised):
    """Two networks that label for each other; either, or their average, answers."""

    config: CrossPseudoSupervisionConfig
    weight: Tensor | None

    def __init__(self, config: CrossPseudoSupervisionConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.committee = NetworkEnsemble(
            {name: network_for(task, config.network, config.weights) for name in ("first", "second")}
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
        p, p_u = self.committee["first"](x).tensor_split([len(y)])  # (B, K, H, W), (U, K, H, W)
        q, q_u = self.committee["second"](x).tensor_split([len(y)])
        supervised = dice_cross_entropy(p, y, self.weight) + dice_cross_entropy(q, y, self.weight)
        crossed = cross_entropy(p_u, hard(q_u)) + cross_entropy(q_u, hard(p_u))
        return Losses(supervised=supervised, crossed=self.strength * crossed)
