"""SimMIM: a simple framework for masked image modelling (Xie et al. 2022).

    x       (B, 3, H, W) images, normalised as the backbone expects
    m       (B, 1, H, W) mask of a random share of the squares of each image
    x̃       x where m = 0, a learnt colour where m = 1
    y       head(backbone(x̃))                (B, 3, H, W); head: 1×1 convolution and pixel shuffle of the feature map
    loss    mean of |x - y| over masked pixels

The paper masks patch embeddings, which only transformers have. Replacing pixels by one learnt colour gives masked
patches of a transformer one learnt embedding too, and makes the method applicable to CNNs.
"""

from typing import final

import torch
from torch import Tensor, nn

from s4mi.contract import Batch, Losses, Pretrainer, Task
from s4mi.errors import S4miError
from s4mi.maths.distributed import draw_for_batch, ratio_over_images
from s4mi.nets.backbone import Backbone
from s4mi.settings.pretraining.simmim import SimmimConfig


@final
class Simmim(Pretrainer):
    """A backbone, the learnt colour of masked pixels, and a head that reconstructs pixels."""

    def __init__(self, config: SimmimConfig, task: Task) -> None:
        super().__init__()
        if task.image_size % config.square or task.image_size == config.square:
            raise S4miError(
                f"method.square {config.square} does not divide data.image_size {task.image_size} into several "
                f"squares; set it to {max(1, task.image_size // 8)} or another divisor"
            )
        self.config = config
        self.backbone = Backbone(config.backbone, image_size=task.image_size, weights=config.weights)
        with torch.no_grad():
            _, channels, side, _ = self.backbone.eval().feature_map(torch.zeros(1, 3, *[task.image_size] * 2)).shape
        self.backbone.train()
        if task.image_size % side:
            raise S4miError(
                f"data.image_size must be a multiple of {side}, the side of the feature map of {config.backbone!r} "
                f"(given {task.image_size}); change data.image_size"
            )
        stride = task.image_size // side
        self.colour = nn.Parameter(torch.zeros(3, 1, 1))
        self.head = nn.Sequential(nn.Conv2d(channels, 3 * stride**2, kernel_size=1), nn.PixelShuffle(stride))

    def encoders(self) -> dict[str, nn.Module]:
        return {self.config.backbone: self.backbone}

    def loss(self, batch: Batch) -> Losses:
        images, normalise = batch.images, self.backbone.normalise
        m = masked_squares(images, square=self.config.square, share=self.config.masked)  # (B, 1, H, W)
        colour = self.colour * normalise.std + normalise.mean  # learnt on the scale of normalised images
        y = self.head(self.backbone.feature_map(torch.where(m, colour, images)))
        error = (normalise(images) - y).abs().float() * m
        return Losses(reconstruction=ratio_over_images(error.sum(), 3 * m.sum()))


def masked_squares(images: Tensor, *, square: int, share: float) -> Tensor:
    """(B, 1, H, W) bool: `share` of the squares of each of (B, 3, H, W) images, drawn from torch's global generator."""
    count, side = len(images), images.shape[-1] // square
    masked = min(max(1, round(share * side**2)), side**2 - 1)
    # On the CPU, so that the same seed masks the same squares on any device.
    rank = draw_for_batch(count, lambda n: torch.rand(n, side**2)).argsort(dim=1).argsort(dim=1)
    mask = (rank < masked).reshape(count, 1, side, side).to(images.device, non_blocking=True)
    return mask.repeat_interleave(square, dim=2).repeat_interleave(square, dim=3)
