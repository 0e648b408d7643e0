"""Self-training (Lee 2013; for medical images Bai et al. 2017): a network learns from its own labels, and labels anew.

    q_u = teacher(x_u), the network as it was at the last round
    supervised   ½ [Dice(p, y) + CE(p, y)]
    taught       ½ [Dice(p_u, argmax q_u) + CE(p_u, argmax q_u)], where q_u is certain enough

The first round knows the masks alone. The paper cleans its labels with a conditional random field; here pixels can be
left out by their confidence instead.
"""

from copy import deepcopy
from typing import ClassVar, Literal, final

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from s4mi.contract import Batch, Losses, NetworkConfig, SemiSupervised, Task, TrainState
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.maths.pseudo_labels import confident
from s4mi.nets.networks import network_for, network_label


class SelfTrainingConfig(NetworkConfig):
    """Settings of self-training."""

    summary: ClassVar[str] = "train a U-Net in rounds; from the second on it learns from its own labels of the last one"
    paper: ClassVar[str] = "Bai et al. 2017, Semi-Supervised Learning for Network-Based Cardiac MR Image Segmentation"

    name: Literal["self_training"] = "self_training"
    rounds: PositiveInt = Field(4, description="of equal length; each begins with new labels, the first with none")
    confidence: float = Field(0.0, ge=0, lt=1, description="least probability of a label that is learnt from; paper: 0")

    @property
    def backbone_name(self) -> str:
        return network_label(self.network)

    def build(self, task: Task) -> "SelfTraining":
        return SelfTraining(self, task)


@final
class SelfTraining(SemiSupervised):
    """A network, and what it was when the round began."""

    config: SelfTrainingConfig
    weight: Tensor | None

    def __init__(self, config: SelfTrainingConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.network = network_for(task, config.network, config.weights)
        self.teacher = deepcopy(self.network).requires_grad_(False)
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.network(images)
        return z

    @property
    def round(self) -> int:
        """The round that the next step belongs to, from 0."""
        return self._round(self.state.step, self.state.total)

    def loss(self, batch: Batch) -> Losses:
        x_u, y = batch.known_unlabelled, batch.known_masks
        p, p_u = self.logits(torch.cat([batch.images, x_u])).tensor_split([len(y)])
        taught = dice_cross_entropy(p_u, self._label(x_u)) if self.round else torch.zeros((), device=p.device)
        return Losses(supervised=dice_cross_entropy(p, y, self.weight), taught=self.strength * taught)

    def after_step(self, state: TrainState) -> None:
        if self._round(state.step, state.total) > self._round(state.step - 1, state.total):
            self.teacher.load_state_dict(self.network.state_dict())

    def _round(self, steps: int, total: int) -> int:
        return min(steps * self.config.rounds // total, self.config.rounds - 1)

    @torch.no_grad()
    def _label(self, x_u: Tensor) -> Tensor:
        """(U, H, W) classes as the last round's network sees them, nothing switched off or averaged over the batch."""
        self.teacher.eval()
        return confident(self.teacher(x_u), self.config.confidence)
