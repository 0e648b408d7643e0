"""Self-training (Lee 2013; for medical images Bai et al. 2017): rounds of training on the network's own pseudo-labels.

    x, y           (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, p_u         network(x), network(x_u)                       (B, K, H, W), (U, K, H, W) logits
    q_u            teacher(x_u), the network at the end of the previous round
    supervised     ½ [Dice(p, y) + CE(p, y)]
    pseudo_label   λ ½ [Dice(p_u, argmax q_u) + CE(p_u, argmax q_u)] over pixels with max softmax(q_u) ≥ confidence

The first round uses the masks alone. The paper refines its pseudo-labels with a conditional random field; here pixels
of low confidence can be ignored instead.
"""

from copy import deepcopy
from typing import final

import torch
from torch import Tensor

from s4mi.contract import Batch, Losses, SemiSupervised, Task, TrainState
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.maths.pseudo_labels import confident
from s4mi.nets.networks import network_for
from s4mi.nets.tuned_networks import tune_networks
from s4mi.settings.segmentation.self_training import SelfTrainingConfig


@final
class SelfTraining(SemiSupervised):
    """A network, and a frozen copy of it from the start of the round, the teacher."""

    config: SelfTrainingConfig
    weight: Tensor | None

    def __init__(self, config: SelfTrainingConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.network = network_for(task, config.network, config.weights)
        self.tunings = tune_networks({config.network: self.network}, config, task)
        self.teacher = deepcopy(self.network).requires_grad_(False)
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.network(images)
        return z

    @property
    def round(self) -> int:
        """Round of the next step, counted from 0."""
        return self._round(self.state.step, self.state.total)

    def loss(self, batch: Batch) -> Losses:
        x_u, y = batch.known_unlabelled, batch.known_masks
        p, p_u = self.logits(torch.cat([batch.images, x_u])).tensor_split([len(y)])
        zero = torch.zeros((), device=p.device)
        pseudo_label = dice_cross_entropy(p_u, self._pseudo_labels(x_u)) if self.round else zero
        return Losses(supervised=dice_cross_entropy(p, y, self.weight), pseudo_label=self.strength * pseudo_label)

    def after_step(self, state: TrainState) -> None:
        if self._round(state.step, state.total) > self._round(state.step - 1, state.total):
            self.teacher.load_state_dict(self.network.state_dict())

    def _round(self, steps: int, total: int) -> int:
        return min(steps * self.config.rounds // total, self.config.rounds - 1)

    @torch.no_grad()
    def _pseudo_labels(self, x_u: Tensor) -> Tensor:
        """(U, 3, H, W) images → (U, H, W) classes predicted by the previous round's network in evaluation mode."""
        self.teacher.eval()
        return confident(self.teacher(x_u), self.config.confidence)
