"""Deep co-training (Qiao et al. 2018; for segmentation Peng et al. 2020): two networks that agree and stay different.

    supervised   ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    agreement    JS(p_u, q_u) = H(½ (p_u + q_u)) - ½ [H(p_u) + H(q_u)]
    diversity    KL(q ‖ p(g_q(x)))  +  KL(p ‖ q(g_p(x)))        over labelled and unlabelled images

g_p(x) is the image changed, by a step of the fast gradient sign, so that p errs (Goodfellow et al. 2015). Each network
learns to see through what deceives the other one; two that were alike would be deceived alike.
"""

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from s4mi.contract import Batch, Losses, NetworkConfig, SemiSupervised, Task
from s4mi.maths.distributed import mean_over_images
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.maths.pseudo_labels import entropy, hard
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for, network_label
from s4mi.records import IGNORE


class CoTrainingConfig(NetworkConfig):
    """Settings of deep co-training."""

    summary: ClassVar[str] = (
        "train two U-Nets that agree on images without masks and see through what deceives the other"
    )
    paper: ClassVar[str] = "Qiao et al. 2018, Deep Co-Training; Peng et al. 2020 for segmentation"

    name: Literal["co_training"] = "co_training"
    diversity: float = Field(0.5, ge=0, description="weight of the diversity beside that of the agreement")
    deception: float = Field(0.03, ge=0, le=1, description="how far a pixel of a deceiving image moves, in [0, 1]")
    ramp_up: float = Field(0.4, ge=0, le=1, description="share of training over which that weight rises; 0: at once")

    @property
    def backbone_name(self) -> str:
        return f"2 × {network_label(self.network)}"

    def build(self, task: Task) -> "CoTraining":
        return CoTraining(self, task)


@final
class CoTraining(SemiSupervised):
    """Two networks that agree; either, or their average, answers."""

    config: CoTrainingConfig
    weight: Tensor | None

    def __init__(self, config: CoTrainingConfig, task: Task) -> None:
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
        first, second, y = self.committee["first"], self.committee["second"], batch.known_masks
        x = torch.cat([batch.images, batch.known_unlabelled]).requires_grad_()
        p, q = first(x), second(x)  # (B + U, K, H, W)
        supervised = sum(dice_cross_entropy(z[: len(y)], y, self.weight) for z in (p, q))
        agreement = jensen_shannon(p[len(y) :].softmax(dim=1), q[len(y) :].softmax(dim=1))
        losses = Losses(supervised=torch.as_tensor(supervised), agreement=self.strength * agreement)
        if not self.config.diversity:
            return losses
        deceived = divergence(q, first(self._deceive(q, y, x))) + divergence(p, second(self._deceive(p, y, x)))
        return Losses(**losses, diversity=self.strength * self.config.diversity * deceived)

    def _deceive(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Images on which the network that gave `z` of `x` is worse: by the masks, else by what it said itself."""
        target = torch.cat([y, hard(z[len(y) :])])
        # A sum, whose slopes half precision does not round to 0, and which has no share to be weighed by.
        errs = F.cross_entropy(z, target, ignore_index=IGNORE, reduction="sum")
        (slope,) = torch.autograd.grad(errs, x, retain_graph=True)
        return (x.detach() + self.config.deception * slope.sign()).clamp(0, 1)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Mean over pixels of the divergence of two (U, K, H, W) distributions from their mean, in nats."""
    return mean_over_images(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)


def divergence(target: Tensor, z: Tensor) -> Tensor:
    """Mean over pixels of KL(softmax of `target` ‖ softmax of `z`), (B, K, H, W) logits; `target` learns nothing."""
    log_q, log_p = target.detach().log_softmax(dim=1), z.log_softmax(dim=1)
    return mean_over_images(F.kl_div(log_p, log_q, log_target=True, reduction="none").sum(dim=1))
