"""Deep co-training (Qiao et al. 2018; for segmentation Peng et al. 2020): two networks that agree but stay different.

    x, y         (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, q         softmax of the first and the second network on labelled images; p_u, q_u on unlabelled ones
    supervised   ½ [Dice(p, y) + CE(p, y)]  +  ½ [Dice(q, y) + CE(q, y)]
    agreement    λ JS(p_u, q_u),   JS(p, q) = H(½ (p + q)) - ½ [H(p) + H(q)]
    diversity    λ λ_d [KL(q ‖ p(g_q(x))) + KL(p ‖ q(g_p(x)))]      over labelled and unlabelled images

g_p(x) is an adversarial example for the first network: the image after one step of the fast gradient sign method
(Goodfellow et al. 2015). Each network learns to resist the adversarial examples of the other; two identical networks
would fail on the same ones.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.contract import Batch, Losses, SemiSupervised, Task
from s4mi.maths.distributed import mean_over_images
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.maths.pseudo_labels import entropy, hard
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for
from s4mi.nets.tuned_networks import tune_networks
from s4mi.records import IGNORE
from s4mi.settings.segmentation.co_training import CoTrainingConfig


@final
class CoTraining(SemiSupervised):
    """Two networks that agree; validation chooses between the first, the second and their average for prediction."""

    config: CoTrainingConfig
    weight: Tensor | None

    def __init__(self, config: CoTrainingConfig, task: Task) -> None:
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
        first, second, y = self.committee["first"], self.committee["second"], batch.known_masks
        x = torch.cat([batch.images, batch.known_unlabelled]).requires_grad_()
        z_p, z_q = first(x), second(x)  # (B + U, K, H, W) logits
        (p, p_u), (q, q_u) = z_p.tensor_split([len(y)]), z_q.tensor_split([len(y)])
        supervised = dice_cross_entropy(p, y, self.weight) + dice_cross_entropy(q, y, self.weight)
        agreement = jensen_shannon(p_u.softmax(dim=1), q_u.softmax(dim=1))
        losses = Losses(supervised=supervised, agreement=self.strength * agreement)
        if not self.config.diversity:
            return losses
        g_p, g_q = self._adversarial(z_p, y, x), self._adversarial(z_q, y, x)
        diversity = divergence(z_q, first(g_q)) + divergence(z_p, second(g_p))
        return Losses(**losses, diversity=self.strength * self.config.diversity * diversity)

    def _adversarial(self, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Adversarial examples of images `x` for the network with logits `z` there.

        The targets are the masks `y` of the first images and the network's own predictions for the others.
        """
        target = torch.cat([y, hard(z[len(y) :])])
        # A sum, because half precision would round the gradient of a mean to 0; only its sign is used.
        loss = F.cross_entropy(z, target, ignore_index=IGNORE, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x, retain_graph=True)
        return (x.detach() + self.config.deception * gradient.sign()).clamp(0, 1)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Mean over pixels of the Jensen-Shannon divergence of two (U, K, H, W) distributions, in nats."""
    return mean_over_images(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2)


def divergence(target: Tensor, z: Tensor) -> Tensor:
    """Mean over pixels of KL(softmax(target) ‖ softmax(z)) of (B, K, H, W) logits, no gradient through `target`."""
    log_q, log_p = target.detach().log_softmax(dim=1), z.log_softmax(dim=1)
    return mean_over_images(F.kl_div(log_p, log_q, log_target=True, reduction="none").sum(dim=1))
