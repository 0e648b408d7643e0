"""DAN: deep adversarial network, a segmenter trained against a mask discriminator (Zhang et al. 2017).

    x, y                (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, p_u              softmax(segmenter(x)), softmax(segmenter(x_u))        (B, K, H, W), (U, K, H, W)
    D(x, p)             (B,) logits of the discriminator, the paper's evaluation network
    supervised    ½ [Dice(p, y) + CE(p, y)]
    evaluation    BCE(D(x, p), 1) + BCE(D(x_u, p_u), 0)      gradient to the discriminator only
    convincing    λ BCE(D(x_u, p_u), 1)                      gradient to the segmenter only

The discriminator learns to separate predictions on labelled images from predictions on unlabelled ones. The segmenter
learns to predict masks of unlabelled images that the discriminator takes for those of labelled ones.
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from s4mi.contract import Batch, Losses, SemiSupervised, Task
from s4mi.maths.distributed import mean_over_images
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.nets.mask_discriminator import MaskDiscriminator
from s4mi.nets.networks import network_for
from s4mi.nets.tuned_networks import tune_networks
from s4mi.settings.segmentation.adversarial import AdversarialConfig


@final
class Adversarial(SemiSupervised):
    """A segmenter and the discriminator it is trained against."""

    config: AdversarialConfig
    weight: Tensor | None

    def __init__(self, config: AdversarialConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.network = network_for(task, config.network, config.weights)
        self.tunings = tune_networks({config.network: self.network}, config, task)
        self.evaluator = MaskDiscriminator(classes=len(task.classes), width=config.evaluator)
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.network(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        x, y = torch.cat([batch.images, batch.known_unlabelled]), batch.known_masks
        z = self.logits(x)  # (B + U, K, H, W)
        p = z.softmax(dim=1)
        d = self.evaluator(x, p.detach())  # (B + U,)
        # Constant weights, so that the gradient of d_u reaches the segmenter and not the discriminator.
        frozen = {name: weight.detach() for name, weight in self.evaluator.named_parameters()}
        d_u: Tensor = functional_call(self.evaluator, frozen, (x[len(y) :], p[len(y) :]))  # (U,)
        return Losses(
            supervised=dice_cross_entropy(z[: len(y)], y, self.weight),
            evaluation=bce(d[: len(y)], 1) + bce(d[len(y) :], 0),
            convincing=self.strength * bce(d_u, 1),
        )


def bce(logits: Tensor, target: float) -> Tensor:
    """Mean binary cross-entropy of (N,) logits against one target for all."""
    targets = torch.full_like(logits, target)
    return mean_over_images(F.binary_cross_entropy_with_logits(logits, targets, reduction="none"))
