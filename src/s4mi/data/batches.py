"""Index streams: which entries of the cache make up which batch, and those batches, ready on the training device.

The order of an epoch and the views of a batch are functions of (seed, epoch, step) alone. A run that resumes at epoch 7
therefore sees what an uninterrupted one sees there, and any process can name the images of any batch.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Batch, MultiCrop, ViewSpec
from s4mi.data.cache import Cache
from s4mi.data.views import Views, apply_on_cpu, apply_on_device, draw_views, join_views
from s4mi.errors import S4miError

RESIDENT_SHARE = 0.4
"""The arrays move to the accelerator when they fill no more than this share of its free memory."""


@dataclass(frozen=True)
class Source:
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
class TrainBatches:
    """An endless supply of shuffled, augmented batches, an epoch at a time; every entry is seen once an epoch.

    Batches are balanced: 17 images at a batch size of 16 are 9 and 8, never 16 and 1, so nothing is dropped and batch
    normalisation always has something to average.

    Raises:
        S4miError: a process would have a batch without an image.
    """

    def __init__(
        self,
        source: Source,
        entries: NDArray[np.int64],
        *,
        batch_size: int,
        crops: MultiCrop,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._source = source
        self._entries = entries
        self._batch_size = batch_size
        self._crops = crops
        self._seed = seed
        self._rank, self._world = rank, world
        self.steps = math.ceil(len(entries) / (batch_size * world))
        if len(entries) < self.steps * world:
            raise S4miError(
                f"{len(entries)} training images in batches of {batch_size} leave one of {world} processes without an "
                "image; use fewer hardware.devices or a larger batch_size"
            )
        self._resident = _resident(source)

    def order(self, epoch: int) -> list[NDArray[np.int64]]:
        """The entries of every batch of an epoch, over all processes."""
        generator = np.random.default_rng([self._seed, 2, epoch])
        return np.array_split(self._entries[generator.permutation(len(self._entries))], self.steps)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch; while one is used, the next is made in a thread of its own."""
        order = self.order(epoch)
        with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as ahead:
            coming = ahead.submit(self._batch, epoch, 0, order[0])
            for step in range(self.steps):
                batch = coming.result()
                if step + 1 < self.steps:
                    coming = ahead.submit(self._batch, epoch, step + 1, order[step + 1])
                yield batch

    def plain(self) -> "PlainBatches":
        """The same entries as they are stored, in order."""
        return PlainBatches(self._source, self._entries, batch_size=self._batch_size)

    def _batch(self, epoch: int, step: int, entries: NDArray[np.int64]) -> Batch:
        generator = torch.Generator().manual_seed(_mix(self._seed, epoch, step))
        # Every process draws the views of the whole batch and keeps its share: the images seen do not depend on how
        # many processes there are.
        mine = slice(self._rank, None, self._world)

        def draw(specs: Sequence[ViewSpec]) -> Views:
            return join_views([draw_views(spec, len(entries), generator)[mine] for spec in specs])

        own, crops = entries[mine], self._crops
        batch = _make(self._source, own, self._resident, draw(crops.images))
        if not crops.local:
            return batch
        local = _images(self._source, own, self._resident, draw(crops.local), size=crops.local_size)
        return replace(batch, local=local)


@final
class PlainBatches:
    """The entries as they are stored, in the given order, for evaluation."""

    def __init__(self, source: Source, entries: Sequence[int] | NDArray[np.int64], *, batch_size: int) -> None:
        self._source = source
        self._entries = np.asarray(entries, dtype=np.int64)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._entries) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._entries), self._batch_size):
            yield _make(self._source, self._entries[start : start + self._batch_size], None, None)


@dataclass(frozen=True)
class _Resident:
    images: Tensor
    masks: Tensor | None


def _resident(source: Source) -> _Resident | None:
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


def _make(source: Source, entries: NDArray[np.int64], resident: _Resident | None, views: Views | None) -> Batch:
    images, masks = _pixels(source, entries, resident, views)
    labels = None if source.labels is None else source.labels[entries].to(source.device, non_blocking=True)
    rows = torch.from_numpy(source.cache.row[entries])
    return Batch(images=images, rows=rows, labels=labels, masks=masks)


def _images(
    source: Source, entries: NDArray[np.int64], resident: _Resident | None, views: Views, *, size: int
) -> Tensor:
    """Views of `size` pixels of the images alone."""
    without = replace(source, cache=replace(source.cache, masks=None))
    bare = None if resident is None else replace(resident, masks=None)
    return _pixels(without, entries, bare, views, size=size)[0]


def _pixels(
    source: Source,
    entries: NDArray[np.int64],
    resident: _Resident | None,
    views: Views | None,
    *,
    size: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Images (B, 3, S, S) in [0, 1] and masks (B, S, S) on the device, by the faster applier for it."""
    cache, device = source.cache, source.device
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


def _mix(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
