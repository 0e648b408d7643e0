"""Load entries of the cache to the training device, by the fastest available path."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch
from s4mi.data.loading.augment import Views, apply_on_cpu, apply_on_device
from s4mi.data.loading.cached_arrays import Cache

RESIDENT_SHARE = 0.4
"""The arrays are kept on the accelerator if they occupy at most this share of its free memory."""


@dataclass(frozen=True)
class CachedTargets:
    """The decode cache with the labels of its entries.

    Attributes:
        cache: decoded images and masks.
        labels: (N,) int64 class indices (-1: unlabelled), or (N, K) float 0/1 (NaN: unlabelled), or None.
        device: device of the batches.
    """

    cache: Cache
    labels: Tensor | None
    device: torch.device


@final
class BatchSource:
    """Batches and images of arbitrary entries of the cache, as stored or augmented.

    With `resident`, the arrays are moved to the accelerator once, if they fit.
    """

    def __init__(self, cached: CachedTargets, *, resident: bool) -> None:
        self._cached = cached
        self._resident = _resident(cached) if resident else None

    def batch(self, entries: NDArray[np.int64], views: Views | None = None) -> Batch:
        """Return images, labels and masks of the entries; with views, images are view-major as in `Batch`."""
        cached = self._cached
        images, masks = _pixels(cached.cache, cached.device, entries, self._resident, views)
        labels = None if cached.labels is None else cached.labels[entries].to(cached.device, non_blocking=True)
        return Batch(images=images, rows=self.rows(entries), labels=labels, masks=masks)

    def images(self, entries: NDArray[np.int64], views: Views, *, size: int | None = None) -> Tensor:
        """Return augmented images without masks, (N, 3, Z, Z) with Z = `size`; by default the stored size."""
        cache, resident = self._cached.cache, self._resident
        images_only = None if resident is None else _Resident(resident.images, None)
        return _pixels(_without_masks(cache), self._cached.device, entries, images_only, views, size=size)[0]

    def rows(self, entries: NDArray[np.int64]) -> Tensor:
        """Return (N,) int64 manifest rows of the entries."""
        return torch.from_numpy(self._cached.cache.row[entries])


@dataclass(frozen=True)
class _Resident:
    images: Tensor
    masks: Tensor | None


def _resident(cached: CachedTargets) -> _Resident | None:
    """Move the whole cache to the accelerator, or return None if it does not fit."""
    if cached.device.type != "cuda":
        return None
    cache = cached.cache
    size = cache.images.nbytes + (0 if cache.masks is None else cache.masks.nbytes)
    free, _ = torch.cuda.mem_get_info(cached.device)
    if size > RESIDENT_SHARE * free:
        return None
    masks = None if cache.masks is None else torch.from_numpy(np.array(cache.masks)).to(cached.device)
    return _Resident(torch.from_numpy(np.array(cache.images)).to(cached.device), masks)


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
    """Return images (B, 3, S, S) in [0, 1] and masks (B, S, S) on the device, augmented there or on the CPU."""
    if resident is not None:
        index = torch.from_numpy(entries).to(device, non_blocking=True)
        images, masks = resident.images[index], None if resident.masks is None else resident.masks[index]
    else:
        stored = cache.images[entries], None if cache.masks is None else cache.masks[entries]
        if device.type == "cpu" and views is not None:
            return apply_on_cpu(*stored, views, size=size)
        images, masks = _to(device, stored[0]), None if stored[1] is None else _to(device, stored[1])
    if views is not None:
        return apply_on_device(images, masks, views, size=size)
    return images.permute(0, 3, 1, 2).float().div_(255), None if masks is None else masks.long()


def _to(device: torch.device, pixels: NDArray[np.uint8]) -> Tensor:
    tensor = torch.from_numpy(pixels)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
