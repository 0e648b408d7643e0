"""Mini-batch k-means (Sculley 2010), which uses each batch once and does not store it.

    start       k-means++ and Lloyd's algorithm on the first batches
    mini-batch  c_k ← c_k + n_k / N_k (m_k - c_k),   m_k: mean of the batch's n_k points labelled k, of N_k so far
    few         a cluster that few points are assigned to is re-seeded beside the largest, like an empty one

Points, draws and devices are as in `kmeans`; `check` is the call that synchronises with the device.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from s4mi.maths.kmeans import (
    ClusterStats,
    all_finite,
    as_points,
    assign,
    check_clusters,
    check_distinct,
    check_finite,
    cluster_stats,
    full_precision,
    lloyd,
    plus_plus_start,
    reseed,
    updated_centroids,
)

START_POINTS = 256
"""Points per cluster collected for the start; faiss uses no more either."""


@final
class MiniBatchKMeans:
    """k-means of features that come in batches, each of which is used once and not stored.

    The first calls of `update` collect points for the start, k-means++ and Lloyd's algorithm; later ones move the
    centroids. A cluster that few points are assigned to is re-seeded.
    """

    def __init__(
        self,
        clusters: int,
        *,
        generator: torch.Generator,
        cosine: bool = True,
        start_points: int | None = None,
        start_iterations: int = 20,
        reassign_after: int = 10,
        least_share: float = 0.0,
    ) -> None:
        """Prepare for (N, D) features.

        Args:
            generator: generator of all draws, on any device.
            start_points: minimum number of points collected for the start; None: 256 per cluster.
            start_iterations: maximum number of iterations of Lloyd's algorithm at the start.
            reassign_after: number of updates after which small clusters are re-seeded.
            least_share: share of the points of these updates up to which a cluster is re-seeded; 0: empty ones only.

        Raises:
            S4miError: more than 255 clusters.
        """
        check_clusters(clusters)
        self.clusters, self.cosine = clusters, cosine
        self.start_points = clusters * START_POINTS if start_points is None else start_points
        self.start_iterations = start_iterations
        self.reassign_after, self.least_share = reassign_after, least_share
        self._generator = generator
        self._collected: list[Tensor] = []
        self._finite: Tensor | None = None
        self._state: _State | None = None

    @property
    def centroids(self) -> Tensor:
        """(K, D) float32, of unit length under cosine."""
        return self._started().centroids.clone()

    @property
    def counts(self) -> Tensor:
        """(K,) int64 number of points that each centroid is the mean of; 0 if it was just re-seeded."""
        return self._started().counts.clone()

    def update(self, features: Tensor) -> None:
        """Move the centroids towards (N, D) features, or collect them for the start; `check` reports invalid ones."""
        with full_precision(features):
            points = as_points(features, cosine=self.cosine)
            self.update_points(points if self.cosine else points.clone())

    def update_points(self, points: Tensor) -> None:
        """`update` with points from `as_points`; those for the start are not copied and must not be modified."""
        with full_precision(points):
            finite = all_finite(points)
            self._finite = finite if self._finite is None else self._finite & finite
            if self._state is not None:
                self._move(points, self._state)
                return
            self._collected.append(points)
            if sum(map(len, self._collected)) >= self.start_points:
                self._started()

    def check(self) -> None:
        """Check all points so far, which synchronises with the device.

        Raises:
            S4miError: values that are not finite, or fewer distinct points at the start than clusters.
        """
        state = self._started()
        assert self._finite is not None, "a started state has seen points"
        check_finite(self._finite)
        check_distinct(state.start_points, self.clusters, state.distinct)

    def assign(self, features: Tensor) -> Tensor:
        """(N,) int64 labels in [0, K), which fit into uint8, of (N, D) features, in bounded memory."""
        return assign(features, self._started().centroids, cosine=self.cosine)

    def _started(self) -> "_State":
        """The state; if there is none yet, start from the points collected so far, even if they are few."""
        if self._state is not None:
            return self._state
        if not self._collected:
            raise ValueError("k-means has seen no points yet")
        points, self._collected = torch.cat(self._collected), []
        with full_precision(points):
            drawn = plus_plus_start(points, self.clusters, generator=self._generator, cosine=self.cosine)
            start = lloyd(
                points, *drawn, iterations=self.start_iterations, generator=self._generator, cosine=self.cosine
            )
            stats = cluster_stats(points, start.labels, start.centroids)
            zeros = torch.zeros_like(stats.counts)
            self._state = _State(
                centroids=updated_centroids(start.centroids, stats.means, cosine=self.cosine),
                means=stats.means,
                counts=stats.counts,
                recent=zeros,
                scatter=zeros.float(),
                start_points=len(points),
                distinct=start.distinct,
            )
        return self._state

    def _move(self, points: Tensor, state: "_State") -> None:
        labels = assign(points, state.centroids, cosine=self.cosine)
        stats = cluster_stats(points, labels, state.centroids)
        state.counts += stats.counts
        rate = stats.counts / state.counts.clamp_min(1)
        state.means += rate[:, None] * (stats.means - state.means)
        state.centroids = updated_centroids(state.centroids, state.means, cosine=self.cosine)
        state.recent += stats.counts
        state.scatter += stats.scatter
        state.updates += 1
        if state.updates % self.reassign_after == 0:
            self._reassign(state)

    def _reassign(self, state: "_State") -> None:
        few = state.recent <= self.least_share * state.recent.sum()
        window = ClusterStats(state.means, counts=state.recent, scatter=state.scatter)
        state.centroids, split = reseed(state.centroids, window, few, generator=self._generator, cosine=self.cosine)
        halvings = (split == torch.arange(self.clusters, device=split.device)[:, None]).sum(dim=1)
        reseeded = split >= 0  # their means start again from the next points
        state.counts = torch.where(reseeded, 0, state.counts >> halvings)
        state.means = torch.where(reseeded[:, None], state.centroids, state.means)
        state.recent, state.scatter = torch.zeros_like(state.recent), torch.zeros_like(state.scatter)


@dataclass
class _State:
    """State of mini-batch k-means.

    Attributes:
        centroids: (K, D). means: (K, D), the centroids before scaling to unit length. counts: (K,) points of the means.
        recent: (K,) points since small clusters were last re-seeded. scatter: (K,) their squared distances.
        start_points: number of points of the start. distinct: number of distinct ones among them.
        updates: number of mini-batches after the start.
    """

    centroids: Tensor
    means: Tensor
    counts: Tensor
    recent: Tensor
    scatter: Tensor
    start_points: int
    distinct: Tensor
    updates: int = 0
