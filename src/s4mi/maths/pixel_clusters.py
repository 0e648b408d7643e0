"""Clusters of pixel features in one pass over the images: centroids, and the cluster of every pixel.

k-means is fitted on the first batches, whose features are stored for it; batches come in random order, so that these
are a sample of all. Then the centroids are fixed, and every other batch is labelled as it comes and its features are
discarded. Each image therefore passes the network once, and all labels come from the same centroids.

With several processes, each fits k-means on the features of all of them, batch by batch, and labels its own. All find
the same centroids, or all raise the same error.

`finish` is the only call that synchronises with the device.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from s4mi.maths.distributed import from_all_processes, from_first_process, sum_over_processes
from s4mi.maths.kmeans import all_finite, as_points, assign, centroid_distances, check_finite, cluster_sizes
from s4mi.maths.mini_batch_kmeans import MiniBatchKMeans

START_POINTS = 2**15
"""Minimum number of pixels that k-means starts from."""


@dataclass(frozen=True)
class PixelLabels:
    """Clusters of all pixels of an epoch.

    Attributes:
        centroids: (K, D) float32 of unit length.
        labels: (B, h, w) uint8 clusters of the pixels of each batch.
        counts: (K,) int64 number of pixels of each cluster, over all processes.
    """

    centroids: Tensor
    labels: tuple[Tensor, ...]
    counts: Tensor

    @property
    def largest(self) -> float:
        """Share of the pixels in the largest cluster."""
        return float(self.counts.max() / self.counts.sum())

    @property
    def empty(self) -> int:
        """Number of clusters without a pixel."""
        return int((self.counts == 0).sum())

    @property
    def distance(self) -> float:
        """Largest cosine distance, in [0, 2], between two centroids."""
        return float(centroid_distances(self.centroids).max())


@final
class PixelClusters:
    """Clusters the pixel features of an epoch: `add` each batch, then `finish`."""

    def __init__(self, clusters: int, *, generator: torch.Generator, kept_batches: int) -> None:
        """Prepare for batches of features.

        Args:
            generator: generator of all draws; on another device than the features, its draws are copied there, which
                synchronises.
            kept_batches: number of batches that k-means is fitted on.

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

    def add(self, features: Tensor) -> None:
        """Add the next batch of (B, D, h, w) features, of any length."""
        count, _, height, width = features.shape
        pixels = as_points(features.permute(0, 2, 3, 1).flatten(0, 2), cosine=True)
        batch = _Pixels(pixels, (count, height, width))
        if self._centroids is not None:
            self._infinite.append((~all_finite(pixels)).long())  # k-means checks the batches that it is fitted on
            self._label(batch, self._centroids)
            return
        self._kmeans.update_points(from_all_processes(pixels.reshape(count, height * width, -1)).flatten(0, 1))
        self._kept.append(batch)
        if len(self._kept) == self._kept_batches:
            self._fix_centroids()

    def finish(self) -> PixelLabels:
        """Return the clusters of all batches.

        Raises:
            S4miError: features that are not finite, in any process, or fewer distinct pixels than clusters.
        """
        centroids = self._fix_centroids() if self._centroids is None else self._centroids
        self._kmeans.check()
        if self._infinite:
            check_finite(sum_over_processes(torch.stack(self._infinite).sum()) == 0)
        counts = sum_over_processes(torch.stack(self._counts).sum(dim=0))
        return PixelLabels(centroids, tuple(self._labels), counts=counts)

    def _fix_centroids(self) -> Tensor:
        """Fix the centroids, to the last bit those of the first process, and label the stored batches."""
        self._centroids = from_first_process(self._kmeans.centroids)
        kept, self._kept = self._kept, []
        for batch in kept:
            self._label(batch, self._centroids)
        return self._centroids

    def _label(self, batch: "_Pixels", centroids: Tensor) -> None:
        labels = assign(batch.points, centroids)
        self._counts.append(cluster_sizes(labels, self._clusters))
        self._labels.append(labels.to(torch.uint8).reshape(batch.shape))


@dataclass(frozen=True)
class _Pixels:
    """(B·h·w, D) points of a batch, and its shape (B, h, w)."""

    points: Tensor
    shape: tuple[int, int, int]
