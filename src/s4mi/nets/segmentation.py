"""What every segmentation network has in common: an encoder and a decoder that can be run apart, and sizes that fit."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

log = logging.getLogger("s4mi")


class SegmentationNet(nn.Module, ABC):
    """(B, 3, H, W) in [0, 1] → (B, K, H, W) logits, for any H and W.

    Images whose sides are no multiples of `stride` are padded with their last rows and columns repeated, and the answer
    is cropped back. A subclass gives `stride`, `_features` and `_logits`.
    """

    stride: int
    """The sides of the images it can take are multiples of this many pixels."""

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return self.decode(self.encode(images), (height, width))

    @final
    def encode(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] → feature maps, finest first."""
        return self._features(pad(images, self.stride))

    @final
    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """What `encode` gave of images of `size` (height, width) pixels → (B, K, height, width) logits."""
        logits = self._logits(features)
        return logits[:, :, : size[0], : size[1]]

    @abstractmethod
    def _features(self, images: Tensor) -> list[Tensor]:
        """Feature maps, finest first, of images whose sides are multiples of `stride`."""

    @abstractmethod
    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        """(B, K, H, W) logits at the size of the images that the features are of."""


def pad(images: Tensor, stride: int) -> Tensor:
    """(B, 3, H, W) → the same, with the last rows and columns repeated until the sides are multiples of `stride`."""
    height, width = images.shape[-2:]
    below, right = -height % stride, -width % stride
    return F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images


@cache
def say_padding(image_size: int, stride: int) -> None:
    """Say, once a process, that images of `image_size` pixels, no multiple of the network's stride, are padded."""
    if image_size % stride:
        padded = image_size + -image_size % stride
        log.info(
            "data.image_size %d is no multiple of the network's stride %d: images are padded to %d pixels and the "
            "answers cropped back",
            image_size, stride, padded,
        )  # fmt: skip
