"""Loader of semi-supervised batches: a labelled stream, and an unlabelled one whose masks are absent or not read."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from s4mi.contract import Batch, BatchComposition, ViewSpec
from s4mi.data.loading.augment import draw_views, join_views
from s4mi.data.loading.batch_source import BatchSource, CachedTargets
from s4mi.data.loading.sampling import RandomStream, epoch_order, prefetch, seed_of
from s4mi.errors import S4miError


@final
class SemiSupervisedBatches:
    """Batches of labelled and unlabelled images, in the proportion of a `BatchComposition`, for any number of epochs.

    An epoch is as long as the longer stream requires; the other one repeats (S4MI section 3.2.1 and its reference
    implementation, where with few labels the labelled stream repeats). If there are no unlabelled images, the labelled
    ones are also used without their masks, and an epoch covers them once as labelled images. If a stream has fewer
    images than its share of a batch, some occur several times in a batch, with different views.

    The composition is that of the global batch over all processes; each stream is distributed among them as in
    `TrainBatches`.

    Raises:
        S4miError: a process would receive a batch without a labelled or without an unlabelled image.
    """

    def __init__(
        self,
        cached: CachedTargets,
        labelled: NDArray[np.int64],
        unlabelled: NDArray[np.int64],
        *,
        composition: BatchComposition,
        views: ViewSpec,
        seed: int,
        steps: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._labelled = labelled
        self._unlabelled = unlabelled if len(unlabelled) else labelled
        self._composition = composition
        self._views = views
        self._seed = seed
        self._rank, self._world = rank, world
        self.steps = steps or max(
            math.ceil(len(labelled) / composition.labelled), math.ceil(len(unlabelled) / composition.unlabelled)
        )
        if min(composition.labelled, composition.unlabelled) < world:
            raise S4miError(
                f"batches of {composition.labelled} labelled and {composition.unlabelled} unlabelled images are too "
                f"small for {world} processes; use fewer hardware.devices, a larger batch_size or another "
                "method.labelled_share"
            )
        self._source = BatchSource(cached, resident=True)

    def order(self, epoch: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Return the labelled and the unlabelled entries of every batch of an epoch, over all processes."""
        streams = (
            (self._labelled, self._composition.labelled, RandomStream.ORDER),
            (self._unlabelled, self._composition.unlabelled, RandomStream.UNLABELLED_ORDER),
        )
        batches = []
        for entries, per_batch, stream in streams:
            images = self.steps * per_batch
            order = epoch_order(entries, (epoch - 1) * images, images, seed=self._seed, stream=stream)
            batches.append(np.split(order, self.steps))
        return list(zip(*batches, strict=True))

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, each prepared in a thread while the previous one is in use."""
        order = self.order(epoch)
        return prefetch(self.steps, lambda step: self._batch(epoch, step, *order[step]))

    def _batch(self, epoch: int, step: int, labelled: NDArray[np.int64], unlabelled: NDArray[np.int64]) -> Batch:
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch, step))
        share = slice(self._rank, None, self._world)  # every process samples all views and keeps its share
        views = draw_views(self._views, len(labelled), generator)[share]
        weak_views = self._views.geometry if self._composition.strong else self._views
        weak = draw_views(weak_views, len(unlabelled), generator)
        strong = [
            replace(draw_views(spec, len(unlabelled), generator), affine=weak.affine)
            for spec in self._composition.strong
        ]
        batch = self._source.batch(labelled[share], views)
        local_unlabelled = unlabelled[share]
        unlabelled_views = join_views([view[share] for view in (weak, *strong)])
        return replace(
            batch,
            rows=torch.cat([batch.rows, self._source.rows(local_unlabelled)]),
            unlabelled=self._source.images(local_unlabelled, unlabelled_views),
        )
