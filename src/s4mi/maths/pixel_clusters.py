"""Clusters of the pixel features of one pass over the images: where they lie, and which pixel is in which.

k-means is fitted on the first batches, whose features are kept for it; their order is random, so that they are a sample
of all. Then the centroids stand still, and every other batch is labelled as it comes and forgotten. Each image is
therefore seen once, and all labels are by the same centroids.

Of several processes each fits k-means on the features of all of them, a batch at a time, and labels its own. They find
the same centroids, and where there are none to find, they all say so.

The device is waited for once, in `finish`.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from s4mi.maths.distributed import from_all_processes, from_first_process, sum_over_processes
from s4mi.maths.kmeans import assign, centroid_distances
from s4mi.maths.kmeans_steps import all_finite, as_points, counted, refuse_infinite
from s4mi.maths.mini_batch_kmeans import MiniBatchKMeans

START_POINTS = 2**15
"""Pixels, at least, that k-means starts with."""


@dataclass(frozen=True)
class PixelLabels:
    """What was found.

    Attributes:
        centroids: (K, D) float32 of unit length.
        labels: of each batch, (B, h, w) uint8 clusters of its pixels.
        counts: (K,) int64 pixels of each cluster, over all processes.
    """

    centroids: Tensor
    labels: tuple[Tensor, ...]
    counts: Tensor

    @property
    def largest(self) -> float:
        """Share of the pixels that the largest cluster holds."""
        return float(self.counts.max() / self.counts.sum())

    @property
    def empty(self) -> int:
        """Clusters without a pixel."""
        return int((self.counts == 0).sum())

    @property
    def distance(self) -> float:
        """The greatest cosine distance, in [0, 2], between two centroids."""
        return float(centroid_distances(self.centroids).max())


@final
class PixelClusters:
    """Gathers the pixel features of an epoch, batch after batch; `finish` says what clusters they are."""

    def __init__(self, clusters: int, *, generator: torch.Generator, kept_batches: int) -> None:
        """Prepare for batches of features.

        Args:
            generator: of all draws; on the features' device, or its draws must be brought there, which waits for it.
            kept_batches: so many of the first batches does k-means look at.

        Raises:
            S4miError: more than 255 clusters.
        """
        self._clusters = clusters
        self._kmeans = MiniBatchKMeans(clusters, generator=generator, start_points=START_POINTS)
        self._kept_batches = kept_batches
        self._kept: list[_Pixels] = []
        self._centroids: Tensor | None = None
        self._labels: list[Tensor] = []
        self._counts: list[Tensor] = []
        self._infinite: list[Tensor] = []

    def see(self, features: Tensor) -> None:
        """Take the next batch of (B, D, h, w) features, of any length."""
        count, _, height, width = features.shape
        pixels = as_points(features.permute(0, 2, 3, 1).flatten(0, 2), cosine=True)
        batch = _Pixels(pixels, (count, height, width))
        if self._centroids is not None:
            self._infinite.append((~all_finite(pixels)).long())  # k-means looks at those that it is given
            self._label(batch, self._centroids)
            return
        self._kmeans.take(from_all_processes(pixels.reshape(count, height * width, -1)).flatten(0, 1))
        self._kept.append(batch)
        if len(self._kept) == self._kept_batches:
            self._fix()

    def finish(self) -> PixelLabels:
        """The clusters of all batches that were seen.

        Raises:
            S4miError: numbers that are not finite, in any process, or fewer different pixels than clusters.
        """
        centroids = self._fix() if self._centroids is None else self._centroids
        self._kmeans.check()
        if self._infinite:
            refuse_infinite(sum_over_processes(torch.stack(self._infinite).sum()) == 0)
        counts = sum_over_processes(torch.stack(self._counts).sum(dim=0))
        return PixelLabels(centroids, tuple(self._labels), counts=counts)

    def _fix(self) -> Tensor:
        """From here on the centroids stand still: to the last bit those of the first process, for all."""
        self._centroids = from_first_process(self._kmeans.centroids)
        kept, self._kept = self._kept, []
        for batch in kept:
            self._label(batch, self._centroids)
        return self._centroids

    def _label(self, batch: "_Pixels", centroids: Tensor) -> None:
        found = assign(batch.points, centroids)
        self._counts.append(counted(found, self._clusters))
        self._labels.append(found.to(torch.uint8).reshape(batch.shape))


@dataclass(frozen=True)
class _Pixels:
    """(B·h·w, D) points, and (B, h, w)."""

    points: Tensor
    shape: tuple[int, int, int]
