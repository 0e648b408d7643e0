"""DAN: a segmenter against an evaluator of masks (Zhang et al. 2017).

    p = softmax(segmenter(x)), p_u likewise of images without masks
    supervised    ½ [Dice(p, y) + CE(p, y)]
    evaluation    BCE(evaluator(x, p), 1) + BCE(evaluator(x_u, p_u), 0)      teaches the evaluator alone
    convincing    BCE(evaluator(x_u, p_u), 1)                               teaches the segmenter alone

The evaluator learns to tell the masks of annotated images from those of the others. The segmenter learns to make it
believe that all of them were annotated.
"""

from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.func import functional_call

from s4mi.contract import Batch, Losses, NetworkConfig, SemiSupervised, Task
from s4mi.maths.distributed import mean_over_images
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.nets.mask_discriminator import MaskDiscriminator
from s4mi.nets.networks import network_for, network_label


class AdversarialConfig(NetworkConfig):
    """Settings of the deep adversarial network."""

    summary: ClassVar[str] = "train a U-Net whose masks of images without annotation pass for those of annotated ones"
    paper: ClassVar[str] = "Zhang et al. 2017, Deep Adversarial Networks for Biomedical Image Segmentation (DAN)"

    name: Literal["adversarial"] = "adversarial"
    evaluator: PositiveInt = Field(
        32, description="channels of the evaluator's first layer; each next has twice as many"
    )
    unlabelled_weight: float = Field(0.1, ge=0, description="of what is learnt from images without masks")
    ramp_up: float = Field(0.4, ge=0, le=1, description="share of training over which that weight rises; 0: at once")

    @property
    def backbone_name(self) -> str:
        return network_label(self.network)

    def build(self, task: Task) -> "Adversarial":
        return Adversarial(self, task)


@final
class Adversarial(SemiSupervised):
    """A segmenter and the evaluator it has to convince."""

    config: AdversarialConfig
    weight: Tensor | None

    def __init__(self, config: AdversarialConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.network = network_for(task, config.network, config.weights)
        self.evaluator = MaskDiscriminator(classes=len(task.classes), width=config.evaluator)
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.network(images)
        return z

    def loss(self, batch: Batch) -> Losses:
        x, y, known = torch.cat([batch.images, batch.known_unlabelled]), batch.known_masks, len(batch.known_masks)
        z = self.logits(x)
        masks = z.softmax(dim=1)
        believed = self.evaluator(x, masks.detach())  # (B + U,)
        still = {name: weight.detach() for name, weight in self.evaluator.named_parameters()}
        convinced: Tensor = functional_call(self.evaluator, still, (x[known:], masks[known:]))
        return Losses(
            supervised=dice_cross_entropy(z[:known], y, self.weight),
            evaluation=binary(believed[:known], 1) + binary(believed[known:], 0),
            convincing=self.strength * binary(convinced, 1),
        )


def binary(logits: Tensor, answer: float) -> Tensor:
    """Mean binary cross-entropy of (N,) logits against one answer for all."""
    wanted = torch.full_like(logits, answer)
    return mean_over_images(F.binary_cross_entropy_with_logits(logits, wanted, reduction="none"))
