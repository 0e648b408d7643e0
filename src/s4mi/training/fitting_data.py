"""What fitted methods are fitted to: stored features of images with labels or masks.

labelled_features    (N, V, D) of whole images      for classifiers
masked_features      token maps with the masks      for segmenters, batch by batch
"""

from collections.abc import Iterator, Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract.feature_names import POOLED
from s4mi.contract.features import Extractor, LabelledFeatures, MaskedBatch, turned
from s4mi.data.loading.cached_arrays import Cache
from s4mi.records import IGNORE
from s4mi.training.feature_pixels import as_images, entry_pixels
from s4mi.training.features import StoredFeatures

READ = 256
"""Images whose features are read at a time."""


def labelled_features(
    store: StoredFeatures,
    extractors: Sequence[Extractor],
    cache: Cache,
    entries: NDArray[np.int64],
    *,
    labels: NDArray[np.int64] | NDArray[np.float32],
    groups: NDArray[np.int64],
    views: int = 1,
    unlabelled: NDArray[np.int64] | None = None,
) -> LabelledFeatures:
    """Return the features of labelled cache entries, for fitting a classifier.

    Args:
        labels, groups: one per entry, as in `LabelledFeatures`.
        unlabelled: training entries whose labels must not be used.
    """
    return LabelledFeatures(
        blocks=tuple(
            np.stack([_pooled(store, extractor, cache, entries, view) for view in range(views)], axis=1)
            for extractor in extractors
        ),
        labels=labels,
        groups=groups,
        unlabelled=()
        if unlabelled is None
        else tuple(_pooled(store, extractor, cache, unlabelled, 0) for extractor in extractors),
    )


def _pooled(
    store: StoredFeatures, extractor: Extractor, cache: Cache, entries: NDArray[np.int64], view: int
) -> NDArray[np.float32]:
    blocks = [
        store.of_entries(extractor, cache, entries[start : start + READ], view=view)[POOLED].cpu().numpy()
        for start in range(0, len(entries), READ)
    ]
    return np.concatenate(blocks) if blocks else np.zeros((0, extractor.widths[POOLED]), dtype=np.float32)


def masked_features(
    store: StoredFeatures,
    extractors: Sequence[Extractor],
    cache: Cache,
    entries: NDArray[np.int64],
    *,
    groups: NDArray[np.int64],
    views: int = 1,
) -> "StoredMaskedFeatures":
    """Return cache entries with masks and their token maps, for fitting a segmenter; `groups`: one per entry."""
    return StoredMaskedFeatures(store, extractors, cache, entries, groups=groups, views=views)


@final
class StoredMaskedFeatures:
    """Cache entries with masks, as `contract.features.MaskedFeatures`; batches are on the runtime's device."""

    def __init__(
        self,
        store: StoredFeatures,
        extractors: Sequence[Extractor],
        cache: Cache,
        entries: NDArray[np.int64],
        *,
        groups: NDArray[np.int64],
        views: int,
    ) -> None:
        self._store, self._extractors, self._cache = store, tuple(extractors), cache
        self._masks, self._entries = cache.masks, np.asarray(entries, dtype=np.int64)
        self.groups, self.views = groups, views

    def __len__(self) -> int:
        return len(self._entries)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], view: int = 0) -> MaskedBatch:
        entries = self._entries[np.asarray(indices, dtype=np.int64)]
        device = self._store.device
        masks = self._masks_of(entries)
        return MaskedBatch(
            images=as_images(entry_pixels(self._cache, entries, view), device),
            masks=turned(masks, view).contiguous().to(device),
            features=tuple(
                self._store.of_entries(extractor, self._cache, entries, view=view) for extractor in self._extractors
            ),
        )

    def _masks_of(self, entries: NDArray[np.int64]) -> Tensor:
        """(B, S, S) classes; `IGNORE` everywhere for a method that is fitted without masks, if there are none."""
        if self._masks is None:
            side = self._cache.images.shape[1]
            return torch.full((len(entries), side, side), IGNORE, dtype=torch.int64)
        return torch.from_numpy(np.asarray(self._masks[entries])).long()

    def batches(self, *, size: int, view: int = 0) -> Iterator[MaskedBatch]:
        for start in range(0, len(self), size):
            yield self.batch(np.arange(start, min(start + size, len(self))), view)
