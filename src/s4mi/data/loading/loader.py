"""One stream of batches: which entries of the cache make up which batch, and those batches, ready on the device."""

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
from s4mi.data.loading.sampling import Draw, epoch_order, prefetch, seed_of
from s4mi.errors import S4miError


@final
class TrainBatches:
    """An endless supply of shuffled, augmented batches, an epoch at a time; every entry is seen once an epoch.

    Batches are balanced: 17 images at a batch size of 16 are 9 and 8, never 16 and 1, so nothing is dropped and batch
    normalisation always has something to average. Where the number of `steps` an epoch is given, batches are full, and
    every entry is seen equally often over the epochs.

    `batch_size` counts the images of all processes. A batch is dealt out to them: number `rank` of the `world` has its
    images rank, rank + world, … The order, the batches and the views are those of one process.

    Raises:
        S4miError: a process would have a batch without an image.
    """

    def __init__(
        self,
        source: CachedTargets,
        entries: NDArray[np.int64],
        *,
        batch_size: int,
        crops: MultiCrop,
        seed: int,
        steps: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._source = source
        self._entries = entries
        self._batch_size = batch_size
        self._crops = crops
        self._seed = seed
        self._rank, self._world = rank, world
        self.steps = steps or math.ceil(len(entries) / batch_size)
        self._images = len(entries) if steps is None else steps * batch_size
        if self._images < self.steps * world:
            raise S4miError(
                f"{len(entries)} training images in batches of {batch_size} leave one of {world} processes without an "
                "image; use fewer hardware.devices, or a larger batch_size or label_fraction"
            )
        self._supply = BatchSource(source, resident=True)

    def order(self, epoch: int) -> list[NDArray[np.int64]]:
        """The entries of every batch of an epoch, over all processes."""
        start = (epoch - 1) * self._images
        return np.array_split(
            epoch_order(self._entries, start, self._images, seed=self._seed, draw=Draw.ORDER), self.steps
        )

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch; while one is used, the next is made in a thread of its own."""
        order = self.order(epoch)
        return prefetch(self.steps, lambda step: self._batch(epoch, step, order[step]))

    def _batch(self, epoch: int, step: int, entries: NDArray[np.int64]) -> Batch:
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch, step))
        # Every process draws the views of the whole batch and keeps its share: the images seen do not depend on how
        # many processes there are.
        mine = slice(self._rank, None, self._world)

        def draw(specs: Sequence[ViewSpec]) -> Views:
            return join_views([draw_views(spec, len(entries), generator)[mine] for spec in specs])

        own, crops = entries[mine], self._crops
        views = draw(crops.images)
        batch = replace(self._supply.batch(own, views), affine=views.affine.to(self._source.device, non_blocking=True))
        if not crops.local:
            return batch
        return replace(batch, local=self._supply.images(own, draw(crops.local), size=crops.local_size))


@final
class PlainBatches:
    """The entries as they are stored, in the given order, for evaluation."""

    def __init__(self, source: CachedTargets, entries: Sequence[int] | NDArray[np.int64], *, batch_size: int) -> None:
        self._supply = BatchSource(source, resident=False)
        self._entries = np.asarray(entries, dtype=np.int64)
        self._batch_size = batch_size

    def __len__(self) -> int:
        return math.ceil(len(self._entries) / self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self._entries), self._batch_size):
            yield self._supply.batch(self._entries[start : start + self._batch_size])
