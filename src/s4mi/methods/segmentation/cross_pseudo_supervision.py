"""Cross pseudo supervision (Chen et al. 2021): two networks of one architecture with different initial weights.

    x, y         (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, q         first(x), second(x)                         (B, K, H, W) logits
    p_u, q_u     first(x_u), second(x_u)                     (U, K, H, W) logits
    supervised   ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    crossed      λ [CE(p_u, argmax q_u)     +  CE(q_u, argmax p_u)]          no gradient through the argmax

The paper also uses pseudo-labels on labelled images; here, as in later medical work, those are trained on their masks
alone. Cross teaching is the variant with two different architectures and Dice.
"""

from typing import final

import torch
from torch import Tensor

from s4mi.contract import Batch, Losses, SemiSupervised, Task
from s4mi.maths.losses import class_weights, cross_entropy, dice_cross_entropy
from s4mi.maths.pseudo_labels import hard
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for
from s4mi.nets.tuned_networks import tune_networks
from s4mi.settings.segmentation.cross_pseudo_supervision import CrossPseudoSupervisionConfig


@final
class CrossPseudoSupervision(SemiSupervised):
    """Two networks with each other's pseudo-labels; validation chooses one of them or their average for prediction."""

    config: CrossPseudoSupervisionConfig
    weight: Tensor | None

    def __init__(self, config: CrossPseudoSupervisionConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        networks = {name: network_for(task, config.network, config.weights) for name in ("first", "second")}
        self.tunings = [
            tuning for net in networks.values() for tuning in tune_networks({config.network: net}, config, task)
        ]
        self.committee = NetworkEnsemble(networks)
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
