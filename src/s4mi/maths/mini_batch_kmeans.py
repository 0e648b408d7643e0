"""k-means in mini-batches (Sculley 2010), each of which is seen once and not kept.

    start       k-means++ and Lloyd's, of the first batches
    mini-batch  c_k is the mean of all points labelled k so far: c_k += n_k / N_k (mean of the batch's - c_k)
    few         a cluster that few points come to is put beside the centroid of the largest, as an empty one is

What `kmeans` says of points, draws and devices holds here too; here it is `check` that waits for the device.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from s4mi.maths.kmeans_steps import (
    ClusterStats,
    all_finite,
    as_points,
    assign,
    check_clusters,
    draw_start,
    exactly,
    lloyd,
    moved,
    refuse_few,
    refuse_infinite,
    reseed,
    totals,
)

START_POINTS = 256
"""Points a cluster that mini-batch k-means starts with; faiss does not look at more either."""


@final
class MiniBatchKMeans:
    """k-means of features that come in batches; each batch is seen once and not kept.

    The first `update`s collect points for the start, Lloyd's k-means from k-means++; later ones move the centroids. A
    cluster that few points come to is re-seeded.
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
            generator: of all draws, on any device.
            start_points: so many points at least are collected for the start; None: 256 a cluster.
            start_iterations: of Lloyd's at most, on the points collected.
            reassign_after: a number of updates, after each of which clusters are looked through.
            least_share: a cluster that got no more than this share of these updates' points is re-seeded; 0: one that
                got none.

        Raises:
            S4miError: more than 255 clusters.
        """
        check_clusters(clusters)
        self.clusters, self.cosine = clusters, cosine
        self.start_points = clusters * START_POINTS if start_points is None else start_points
        self.start_iterations = start_iterations
        self.reassign_after, self.least_share = reassign_after, least_share
        self._generator = generator
        self._waiting: list[Tensor] = []
        self._finite: Tensor | None = None
        self._state: _State | None = None

    @property
    def centroids(self) -> Tensor:
        """(K, D) float32, of unit length under cosine."""
        return self._started().centroids.clone()

    @property
    def counts(self) -> Tensor:
        """(K,) int64: how many points each centroid is the mean of; none where it was just re-seeded."""
        return self._started().counts.clone()

    def update(self, features: Tensor) -> None:
        """Move the centroids towards (N, D) features, or keep these for the start; `check` says what is wrong."""
        with exactly(features):
            points = as_points(features, cosine=self.cosine)
            self.take(points if self.cosine else points.clone())

    def take(self, points: Tensor) -> None:
        """`update` by points as `as_points` makes them; those for the start are not copied, and must not change."""
        with exactly(points):
            finite = all_finite(points)
            self._finite = finite if self._finite is None else self._finite & finite
            if self._state is not None:
                self._move(points, self._state)
                return
            self._waiting.append(points)
            if sum(map(len, self._waiting)) >= self.start_points:
                self._started()

    def check(self) -> None:
        """Look at all points so far, which waits for the device.

        Raises:
            S4miError: numbers that are not finite, or fewer different points at the start than clusters.
        """
        state = self._started()
        assert self._finite is not None, "there are points"
        refuse_infinite(self._finite)
        refuse_few(state.start_points, self.clusters, state.different)

    def assign(self, features: Tensor) -> Tensor:
        """(N,) int64 labels in [0, K), which fit into uint8, of (N, D) features, in bounded memory."""
        return assign(features, self._started().centroids, cosine=self.cosine)

    def _started(self) -> "_State":
        """What there is to know so far; with fewer points than asked for, the start is made of those there are."""
        if self._state is not None:
            return self._state
        if not self._waiting:
            raise ValueError("k-means has seen no points yet")
        points, self._waiting = torch.cat(self._waiting), []
        with exactly(points):
            drawn = draw_start(points, self.clusters, generator=self._generator, cosine=self.cosine)
            start = lloyd(
                points, *drawn, iterations=self.start_iterations, generator=self._generator, cosine=self.cosine
            )
            found = totals(points, start.labels, start.centroids)
            centroids = moved(start.centroids, found.means, cosine=self.cosine)
            none = torch.zeros_like(found.counts)
            self._state = _State(
                centroids,
                found.means,
                found.counts,
                seen=none,
                scatter=none.float(),
                start_points=len(points),
                different=start.different,
            )
        return self._state

    def _move(self, points: Tensor, state: "_State") -> None:
        labels = assign(points, state.centroids, cosine=self.cosine)
        found = totals(points, labels, state.centroids)
        state.counts += found.counts
        rate = found.counts / state.counts.clamp_min(1)
        state.means += rate[:, None] * (found.means - state.means)
        state.centroids = moved(state.centroids, state.means, cosine=self.cosine)
        state.seen += found.counts
        state.scatter += found.scatter
        state.updates += 1
        if state.updates % self.reassign_after == 0:
            self._reassign(state)

    def _reassign(self, state: "_State") -> None:
        few = state.seen <= self.least_share * state.seen.sum()
        window = ClusterStats(state.means, counts=state.seen, scatter=state.scatter)
        state.centroids, split = reseed(state.centroids, window, few, generator=self._generator, cosine=self.cosine)
        halvings = (split == torch.arange(self.clusters, device=split.device)[:, None]).sum(dim=1)
        fresh = split >= 0  # the next points make its mean alone
        state.counts = torch.where(fresh, 0, state.counts >> halvings)
        state.means = torch.where(fresh[:, None], state.centroids, state.means)
        state.seen, state.scatter = torch.zeros_like(state.seen), torch.zeros_like(state.scatter)


@dataclass
class _State:
    """Of mini-batch k-means; `means` are the centroids before they are brought to unit length.

    `seen` and `scatter` are sums since the clusters were last looked through; `start_points` and `different` are of the
    start, as `refuse_few` wants them.
    """

    centroids: Tensor
    means: Tensor
    counts: Tensor
    seen: Tensor
    scatter: Tensor
    start_points: int
    different: Tensor
    updates: int = 0
