"""From entries of the cache to pixels on the training device, by the faster way there is."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch
from s4mi.data.loading.augment import Views, apply_on_cpu, apply_on_device
from s4mi.data.loading.cache import Cache

RESIDENT_SHARE = 0.4
"""The arrays move to the accelerator when they fill no more than this share of its free memory."""


@dataclass(frozen=True)
class CachedTargets:
    """The cache with the targets of its entries.

    Attributes:
        cache: decoded images and masks.
        labels: (N,) int64 class indices (-1: none) or (N, K) float 0/1 (NaN: none), or None.
        device: where batches go.
    """

    cache: Cache
    labels: Tensor | None
    device: torch.device


@final
class BatchSource:
    """Batches and images of any entries of a source, as they are stored or seen through views.

    With `resident`, the arrays are moved to the accelerator once, if they fit there.
    """

    def __init__(self, source: CachedTargets, *, resident: bool) -> None:
        self._source = source
        self._resident = _resident(source) if resident else None

    def batch(self, entries: NDArray[np.int64], views: Views | None = None) -> Batch:
        """Images, labels and masks of the entries; views are view-major, as `Batch` has them."""
        source = self._source
        images, masks = _pixels(source.cache, source.device, entries, self._resident, views)
        labels = None if source.labels is None else source.labels[entries].to(source.device, non_blocking=True)
        return Batch(images=images, rows=self.rows(entries), labels=labels, masks=masks)

    def images(self, entries: NDArray[np.int64], views: Views, *, size: int | None = None) -> Tensor:
        """Views of the images alone, (N, 3, Z, Z) of `size` pixels; None: as large as they are stored."""
        cache, resident = self._source.cache, self._resident
        bare = None if resident is None else _Resident(resident.images, None)
        return _pixels(_without_masks(cache), self._source.device, entries, bare, views, size=size)[0]

    def rows(self, entries: NDArray[np.int64]) -> Tensor:
        """(N,) int64 manifest rows of the entries."""
        return torch.from_numpy(self._source.cache.row[entries])


@dataclass(frozen=True)
class _Resident:
    images: Tensor
    masks: Tensor | None


def _resident(source: CachedTargets) -> _Resident | None:
    """The whole cache on the accelerator, when it fits there."""
    if source.device.type != "cuda":
        return None
    cache = source.cache
    size = cache.images.nbytes + (0 if cache.masks is None else cache.masks.nbytes)
    free, _ = torch.cuda.mem_get_info(source.device)
    if size > RESIDENT_SHARE * free:
        return None
    masks = None if cache.masks is None else torch.from_numpy(np.array(cache.masks)).to(source.device)
    return _Resident(torch.from_numpy(np.array(cache.images)).to(source.device), masks)


def _without_masks(cache: Cache) -> Cache:
    return replace(cache, masks=None)


def _pixels(
    cache: Cache,
    device: torch.device,
    entries: NDArray[np.int64],
    resident: _Resident | None,
    views: Views | None,
    *,
    size: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Images (B, 3, S, S) in [0, 1] and masks (B, S, S) on the device, by the faster applier for it."""
    if resident is not None:
        chosen = torch.from_numpy(entries).to(device, non_blocking=True)
        images, masks = resident.images[chosen], None if resident.masks is None else resident.masks[chosen]
    else:
        read = cache.images[entries], None if cache.masks is None else cache.masks[entries]
        if device.type == "cpu" and views is not None:
            return apply_on_cpu(*read, views, size=size)
        images, masks = _to(device, read[0]), None if read[1] is None else _to(device, read[1])
    if views is not None:
        return apply_on_device(images, masks, views, size=size)
    return images.permute(0, 3, 1, 2).float().div_(255), None if masks is None else masks.long()


def _to(device: torch.device, pixels: NDArray[np.uint8]) -> Tensor:
    tensor = torch.from_numpy(pixels)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
