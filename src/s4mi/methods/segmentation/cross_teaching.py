"""Cross teaching between a CNN and a transformer (Luo et al. 2022; S4MI section 4.2.1).

    x, y           (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, q           cnn(x), transformer(x)                     (B, K, H, W) logits
    p_u, q_u       cnn(x_u), transformer(x_u)                 (U, K, H, W) logits
    supervised     ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    pseudo_label   λ [Dice(p_u, argmax q_u)   +  Dice(q_u, argmax p_u)]      no gradient through the argmax

Each network is trained on the other's predictions for unlabelled images. Convolutions use local context and attention
global context, so that the two make different mistakes.
"""

from typing import final

import torch
from torch import Tensor

from s4mi.contract import Batch, Losses, SemiSupervised, Task
from s4mi.maths.losses import class_weights, dice, dice_cross_entropy
from s4mi.maths.pseudo_labels import confident
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for
from s4mi.nets.tuned_networks import tune_networks
from s4mi.settings.segmentation.cross_teaching import CrossTeachingConfig


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
