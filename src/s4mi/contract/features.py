"""Frozen features: what computes them, where they are kept, and what a method is fitted to.

An extractor turns images into features and never changes: a frozen encoder, or colour, texture and shape. Features are
therefore computed once per image and kept in a store on disk, under the extractor's `key` and the pixels of the image.
A method that is fitted to features runs without its extractor as long as the store has the features of its images.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from s4mi.contract.feature_names import POOLED, TURNS
from s4mi.contract.method import Classifier, Segmenter


class FeatureStore(Protocol):
    """Where features are kept. See `training.features.StoredFeatures`."""

    def features(self, extractor: "Extractor", images: Tensor) -> dict[str, Tensor]:
        """Return the features of `images`, computing those that are missing."""


class Extractor(nn.Module, ABC):
    """Features of images by name: (B, 3, H, W) in [0, 1] → {name: (B, …) float32}.

    Attributes:
        name: for tables, such as "vit_small_patch14_dinov2".
        key: names everything that the features depend on, except the image: network, content of its weights, outputs,
            and the revision of the code. Features are kept under this key.
        widths: number of channels of each output, such as {"pooled": 384}.
        store: where features are kept; None: they are computed each time.
        float16: whether they are kept in 16 bits, which suffices for activations; otherwise in 32.
    """

    name: str
    key: str
    widths: dict[str, int]
    store: FeatureStore | None = None
    float16: bool = True

    @abstractmethod
    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features: (B, D) of whole images, (B, C, h, w) of token maps."""

    def materialise(self) -> None:
        """Build all that `compute` uses and make it part of the module, for a graph that is to contain it."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the features, from the store if there is one, but not where gradients or a graph are asked for."""
        if self.store is None or images.requires_grad or torch.compiler.is_exporting():
            return self.compute(images)
        return self.store.features(self, images)

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return cast(dict[str, Tensor], super().__call__(images))


@dataclass(frozen=True)
class LabelledFeatures:
    """Features of the labelled training images, for fitting a classifier.

    Attributes:
        blocks: one (N, V, D) float32 array per extractor: N images, or tiles of images, in V views each, of which the
            first is the image itself.
        labels: (N,) int64 class indices, or (N, K) float 0/1 for multi-label tasks, NaN where unknown.
        groups: (N,) int64 patient of each image, or its own number: what folds must keep together.
        unlabelled: one (U, D) float32 array per extractor, of training images whose labels must not be used.
    """

    blocks: tuple[NDArray[np.float32], ...]
    labels: NDArray[Any]
    groups: NDArray[np.int64]
    unlabelled: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True)
class MaskedBatch:
    """Images with masks and their token maps.

    Attributes:
        images: (B, 3, S, S) float in [0, 1].
        masks: (B, S, S) int64 class indices, `records.IGNORE` where not annotated.
        features: outputs of each extractor, as `Extractor.forward` returns them.
    """

    images: Tensor
    masks: Tensor
    features: tuple[dict[str, Tensor], ...]


class MaskedFeatures(Protocol):
    """The training images with masks, for fitting a segmenter; read batch by batch, so that memory stays bounded."""

    groups: NDArray[np.int64]
    """(N,) patient of each image, or its own number."""
    views: int
    """Number of views of each image, the first of `TURNS`."""

    def __len__(self) -> int:
        """Number of images, or tiles of images."""

    def batch(self, indices: Sequence[int] | NDArray[np.int64], view: int = 0) -> MaskedBatch:
        """Return images, masks and features of these images, all in the same one of `TURNS` views."""

    def batches(self, *, size: int, view: int = 0) -> Iterator[MaskedBatch]:
        """Yield all images in order."""


@dataclass(frozen=True)
class Fit:
    """How a method was fitted.

    Attributes:
        notes: what the user must know, one sentence each, such as a class that could not be fitted.
        chosen: settings that were chosen inside the labels, by name, such as {"strength": 0.1}.
        scores: scores of the choice on its folds, by name, such as {"folds f1_macro": 0.81}.
        losses: final loss terms by name.
    """

    notes: tuple[str, ...] = ()
    chosen: dict[str, float | str] | None = None
    scores: dict[str, float] | None = None
    losses: dict[str, float] | None = None


class FittedClassifier(Classifier):
    """A classifier that is fitted to stored features at once, without epochs."""

    @property
    @abstractmethod
    def extractors(self) -> Sequence[Extractor]:
        """What computes the features; each has an output `POOLED`."""

    @property
    def views(self) -> int:
        """Number of views of each training image to fit on, 1 to `TURNS`."""
        return 1

    @property
    def uses_unlabelled(self) -> bool:
        """Whether `fit` also learns from the features of training images without labels."""
        return False

    @abstractmethod
    def fit(self, data: LabelledFeatures, generator: np.random.Generator) -> Fit:
        """Fit the head to the labelled images; choices are made by folds inside them.

        Raises:
            S4miError: the labels do not suffice.
        """

    @abstractmethod
    def head_logits(self, blocks: Sequence[Tensor]) -> Tensor:
        """Return class logits from the features of each extractor: (B, D) each → (B, K)."""

    @final
    def logits(self, images: Tensor) -> Tensor:
        return self.head_logits([extractor(images)[POOLED] for extractor in self.extractors])


class FittedSegmenter(Segmenter):
    """A segmenter that is fitted to stored token maps at once, without epochs."""

    @property
    @abstractmethod
    def extractors(self) -> Sequence[Extractor]:
        """What computes the token maps."""

    @property
    def views(self) -> int:
        """Number of views of each training image to fit on, 1 to `TURNS`."""
        return 1

    @abstractmethod
    def fit(self, data: MaskedFeatures, generator: np.random.Generator) -> Fit:
        """Fit the head to the images with masks.

        Raises:
            S4miError: the masks do not suffice.
        """

    @abstractmethod
    def head_logits(self, features: Sequence[dict[str, Tensor]], images: Tensor) -> Tensor:
        """Return pixel logits from the outputs of each extractor and (B, 3, S, S) images → (B, K, S, S)."""

    @final
    def logits(self, images: Tensor) -> Tensor:
        return self.head_logits([extractor(images) for extractor in self.extractors], images)


def turned(images: Tensor, view: int) -> Tensor:
    """Return (…, S, S) images in one of `TURNS` views: view % 4 quarter turns, from view 4 on of the mirror image."""
    mirrored = images.flip(-1) if view >= TURNS // 2 else images
    return torch.rot90(mirrored, view % 4, (-2, -1))
