"""Features of a few images, computed in memory, for methods that are fitted to stored ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import (
    POOLED,
    Batch,
    Extractor,
    Fit,
    FittedClassifier,
    FittedSegmenter,
    LabelledFeatures,
    MaskedBatch,
    Method,
    turned,
)


@dataclass
class InMemoryMaskedFeatures:
    """`MaskedFeatures` of a batch."""

    extractors: Sequence[Extractor]
    images: Tensor
    masks: Tensor
    groups: NDArray[np.int64]
    views: int = 1

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], view: int = 0) -> MaskedBatch:
        chosen = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        images, masks = turned(self.images[chosen], view), turned(self.masks[chosen], view)
        with torch.no_grad():
            return MaskedBatch(images, masks, tuple(extractor(images) for extractor in self.extractors))

    def batches(self, *, size: int, view: int = 0) -> Iterator[MaskedBatch]:
        for first in range(0, len(self), size):
            yield self.batch(range(first, min(first + size, len(self))), view)


def labelled_features(
    method: FittedClassifier, batch: Batch, *, groups: Sequence[int] | None = None
) -> LabelledFeatures:
    """Features of the images of a batch in the views that the method asks for."""
    with torch.no_grad():
        blocks = tuple(
            torch.stack([extractor(turned(batch.images, view))[POOLED] for view in range(method.views)], dim=1).numpy()
            for extractor in method.extractors
        )
    labels = batch.known_labels.numpy()
    patients = np.arange(len(labels)) if groups is None else np.asarray(groups)
    return LabelledFeatures(blocks, labels, patients.astype(np.int64))


def fit_to(method: Method, batch: Batch, *, seed: int = 0) -> Fit:
    """Fit a fitted method to the images of a batch."""
    generator = np.random.default_rng(seed)
    if isinstance(method, FittedClassifier):
        return method.fit(labelled_features(method, batch), generator)
    assert isinstance(method, FittedSegmenter)
    groups = np.arange(len(batch.images))
    masks = batch.masks if batch.masks is not None else torch.full_like(batch.images[:, 0], 255).long()
    return method.fit(InMemoryMaskedFeatures(method.extractors, batch.images, masks, groups, method.views), generator)
