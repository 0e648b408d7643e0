"""Base class of segmentation networks: an encoder and a decoder that can run separately, and padding to the stride."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.nets.backbone import bad_size

log = logging.getLogger("s4mi")


class SegmentationNet(nn.Module, ABC):
    """(B, 3, H, W) in [0, 1] → (B, K, H, W) logits, for any H and W.

    Images whose sides are not multiples of `stride` are padded by repeating their last rows and columns, and the logits
    are cropped back. A subclass defines `stride`, `_features` and `_logits`.
    """

    stride: int
    """Number of pixels of which the sides of padded images are multiples."""

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return self.decode(self.encode(images), (height, width))

    @final
    def encode(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [0, 1] → feature maps, finest first."""
        return self._features(pad(images, self.stride))

    @final
    def decode(self, features: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Feature maps from `encode` for images of `size` (height, width) → (B, K, height, width) logits."""
        logits = self._logits(features)
        return logits[:, :, : size[0], : size[1]]

    @abstractmethod
    def _features(self, images: Tensor) -> list[Tensor]:
        """Images whose sides are multiples of `stride` → feature maps, finest first."""

    @abstractmethod
    def _logits(self, features: Sequence[Tensor]) -> Tensor:
        """Feature maps → (B, K, H, W) logits at the size of the images."""


def pad(images: Tensor, stride: int) -> Tensor:
    """Pad (B, 3, H, W) images to sides that are multiples of `stride` by repeating their last rows and columns."""
    height, width = images.shape[-2:]
    below, right = -height % stride, -width % stride
    return F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images


def freeze_unused(net: SegmentationNet, *, image_size: int, name: str) -> None:
    """Freeze parameters that no gradient reaches, such as deep stages under a shallow decoder.

    Distributed training waits for the gradient of every parameter that is not frozen.

    Raises:
        S4miError: the network `name` cannot take images of this size.
    """
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    try:
        logits: Tensor = net.eval()(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise bad_size(name, image_size, error) from error
    for weight, gradient in zip(weights, torch.autograd.grad(logits.sum(), weights, allow_unused=True), strict=True):
        weight.requires_grad_(gradient is not None)
    net.train()


@cache
def log_padding(image_size: int, stride: int) -> None:
    """Log, once per process, that images are padded because `image_size` is not a multiple of the network's stride."""
    if image_size % stride:
        padded = image_size + -image_size % stride
        log.info(
            "data.image_size %d is not a multiple of the network's stride %d: images are padded to %d pixels and "
            "predictions cropped back",
            image_size, stride, padded,
        )  # fmt: skip
