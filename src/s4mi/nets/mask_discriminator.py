"""The mask discriminator of DAN, its evaluation network (Zhang et al. 2017)."""

from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from s4mi.nets.backbone import Normalise


@final
class MaskDiscriminator(nn.Module):
    """(B, 3, H, W) images in [0, 1] and (B, K, H, W) probabilities → (B,) logits that the image is a labelled one.

    Four convolutions of stride 2 and global average pooling, with group normalisation: the statistics of a batch of
    labelled or of unlabelled images would reveal which they are.
    """

    def __init__(self, *, classes: int, width: int) -> None:
        super().__init__()
        self.normalise = Normalise()
        widths = [3 + classes, *(width * 2**level for level in range(4))]
        layers: list[nn.Module] = []
        for level, (channels, out) in enumerate(pairwise(widths)):
            layers.append(nn.Conv2d(channels, out, kernel_size=4, stride=2, padding=1, bias=level == 0))
            if level:
                layers.append(nn.GroupNorm(min(8, out), out))
            layers.append(nn.LeakyReLU(0.2))
        self.features = nn.Sequential(*layers)
        self.score = nn.Linear(widths[-1], 1)

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        features: Tensor = self.features(torch.cat([self.normalise(images), masks], dim=1))
        logits: Tensor = self.score(features.mean(dim=(2, 3)))
        return logits[:, 0]
