"""The evaluator of DAN: is this the mask of an annotated image (Zhang et al. 2017)?"""

from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from s4mi.nets.backbone import Normalise


@final
class MaskDiscriminator(nn.Module):
    """Images (B, 3, H, W) in [0, 1] with masks (B, K, H, W) of probabilities → (B,) logits.

    Four convolutions of stride 2 and a mean over what is left of the image. It normalises within each image, as a batch
    of annotated and other images would tell them apart by itself.
    """

    def __init__(self, *, classes: int, width: int) -> None:
        super().__init__()
        self.normalise = Normalise()
        widths = [3 + classes, *(width * 2**level for level in range(4))]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise(widths)):
            layers.append(nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1, bias=level == 0))
            if level:
                layers.append(nn.GroupNorm(min(8, after), after))
            layers.append(nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*layers)
        self.score = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        features: Tensor = self.features(torch.cat([self.normalise(images), masks], dim=1))
        logits: Tensor = self.score(features.mean(dim=(2, 3)))
        return logits[:, 0]
