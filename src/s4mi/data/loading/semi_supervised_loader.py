"""Two streams in one batch: images with their masks, and images whose masks are not there or must not be read."""

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
from s4mi.data.loading.sampling import Draw, epoch_order, prefetch, seed_of
from s4mi.errors import S4miError


@final
class SemiSupervisedBatches:
    """An endless supply of batches of labelled and unlabelled images, in the proportion of a `BatchComposition`.

    An epoch covers both: it is as long as the stream that takes longer, and the other begins anew (S4MI section 3.2.1
    and its reference implementation, where few labels make the labelled stream the one that repeats). Where no image is
    unlabelled, the labelled ones are shown without their masks as well, and an epoch covers them once as labelled ones.
    A stream of fewer images than its share of a batch has some of them several times in it, each in a view of its own.

    The mixture is that of all processes together; each stream's part of a batch is dealt out to them, as `TrainBatches`
    does.

    Raises:
        S4miError: a process would have no labelled image in a batch, or no unlabelled one.
    """

    def __init__(
        self,
        source: CachedTargets,
        labelled: NDArray[np.int64],
        unlabelled: NDArray[np.int64],
        *,
        mixture: BatchComposition,
        views: ViewSpec,
        seed: int,
        steps: int | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._source = source
        self._labelled = labelled
        self._unlabelled = unlabelled if len(unlabelled) else labelled
        self._mixture = mixture
        self._views = views
        self._seed = seed
        self._rank, self._world = rank, world
        self.steps = steps or max(
            math.ceil(len(labelled) / mixture.labelled), math.ceil(len(unlabelled) / mixture.unlabelled)
        )
        if min(mixture.labelled, mixture.unlabelled) < world:
            raise S4miError(
                f"batches of {mixture.labelled} images with masks and {mixture.unlabelled} without leave one of "
                f"{world} processes without an image of a kind; use fewer hardware.devices, a larger batch_size or "
                "another method.labelled_share"
            )
        self._supply = BatchSource(source, resident=True)

    def order(self, epoch: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The labelled and the unlabelled entries of every batch of an epoch, over all processes."""
        streams = (
            (self._labelled, self._mixture.labelled, Draw.ORDER),
            (self._unlabelled, self._mixture.unlabelled, Draw.UNLABELLED_ORDER),
        )
        batches = []
        for entries, share, draw in streams:
            images = self.steps * share
            order = epoch_order(entries, (epoch - 1) * images, images, seed=self._seed, draw=draw)
            batches.append(np.split(order, self.steps))
        return list(zip(*batches, strict=True))

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch; while one is used, the next is made in a thread of its own."""
        order = self.order(epoch)
        return prefetch(self.steps, lambda step: self._batch(epoch, step, *order[step]))

    def _batch(self, epoch: int, step: int, labelled: NDArray[np.int64], unlabelled: NDArray[np.int64]) -> Batch:
        generator = torch.Generator().manual_seed(seed_of(self._seed, epoch, step))
        mine = slice(self._rank, None, self._world)  # every process draws all views and keeps its share
        views = draw_views(self._views, len(labelled), generator)[mine]
        weak = draw_views(self._views, len(unlabelled), generator)
        strong = [
            replace(draw_views(spec, len(unlabelled), generator), affine=weak.affine) for spec in self._mixture.strong
        ]
        batch = self._supply.batch(labelled[mine], views)
        own = unlabelled[mine]
        return replace(
            batch,
            rows=torch.cat([batch.rows, self._supply.rows(own)]),
            unlabelled=self._supply.images(own, join_views([one[mine] for one in (weak, *strong)])),
        )
