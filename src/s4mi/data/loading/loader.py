"""Loaders of single-stream batches: shuffled and augmented for training, as stored for evaluation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from s4mi.contract import Batch, MultiCrop, ViewSpec
from s4mi.data.loading.augment import Views, draw_views, join_views
from s4mi.data.loading.batch_source import BatchSource, CachedTargets
from s4mi.data.loading.sampling import RandomStream, epoch_order, prefetch, seed_of
from s4mi.errors import S4miError


@final
class TrainBatches:
    """Shuffled, augmented batches for any number of epochs; every entry occurs once per epoch.

    Batches are balanced: 17 images at batch size 16 become 9 and 8, never 16 and 1, so no image is dropped and batch
    normalisation never sees a single image. If the number of `steps` per epoch is given, all batches are full, and over
    the epochs every entry occurs equally often.

    `batch_size` is the global batch size over all processes: process `rank` of `world` processes receives the images
    rank, rank + world, … of each batch. Order, batches and views are the same as with a single process.

    Raises:
        S4miError: a process would receive a batch without an image.
    """

    def __init__(
        self,
        cached: CachedTargets,
        entries: NDArray[np.int64],
        *,
        batch_size: int,
        crops: MultiCrop,
        seed: int,
        steps: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._cached = cached
        self._entries = entries
        self._batch_size = batch_size
        self._crops = crops
        self._seed = seed
        self._rank, self._world = rank, world
        self.steps = steps or math.ceil(len(entries) / batch_size)
        self._images = len(entries) if steps is None else steps * batch_size
        if self._images < self.steps * world:
            raise S4miError(
                f"{len(entries)} training images in batches of {batch_size} are too few for {world} processes; use "
                "fewer hardware.devices, or a larger batch_size or label_fraction"
            )
        self._source = BatchSource(cached, resident=True)

    def order(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the entries of every batch of an epoch, over all processes."""
        start = (epoch - 1) * self._images
        return np.array_split(
            epoch_order(self._entries, start, self._images, seed=self._seed, stream=RandomStream.ORDER), self.steps
        )

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, each prepared in a thread while the previous one is in use."""
        order = self.order(epoch)
        return prefetch(self.steps, lambda step: self._batch(epoch, step, order[step]))

    def _batch(self, epoch: int, step: int, entries: NDArray[np.int64]) -> Batch:
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch, step))
        # Every process samples the views of the whole batch and keeps its share, so that the augmented images do not
        # depend on the number of processes.
        share = slice(self._rank, None, self._world)

        def draw(specs: Sequence[ViewSpec]) -> Views:
            return join_views([draw_views(spec, len(entries), generator)[share] for spec in specs])

        local_entries, crops = entries[share], self._crops
        views = draw(crops.images)
        affine = views.affine.to(self._cached.device, non_blocking=True)
        batch = replace(self._source.batch(local_entries, views), affine=affine)
        if not crops.local:
            return batch
        return replace(batch, local=self._source.images(local_entries, draw(crops.local), size=crops.local_size))


@final
class PlainBatches:
    """Batches of entries as stored, in the given order, for evaluation."""

    def __init__(self, cached: CachedTargets, entries: Sequence[int] | NDArray[np.int64], *, batch_size: int) -> None:
        self._source = BatchSource(cached, resident=False)
        self._entries = np.asarray(entries, dtype=np.int64)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._entries) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._entries), self._batch_size):
            yield self._source.batch(self._entries[start : start + self._batch_size])
