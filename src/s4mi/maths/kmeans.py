"""k-means on the device that the features are on: Lloyd's of a whole set, and in mini-batches (Sculley 2010).

    start       k-means++ (Arthur & Vassilvitskii 2007): the next centroid is a point drawn by its squared distance
                from the nearest so far, one draw a centroid (not the greedy variant, which takes the best of several)
    Lloyd       label(x) = argmin_k |x - c_k|,   c_k = mean of the points labelled k
    mini-batch  c_k is the mean of all points labelled k so far: c_k += n_k / N_k (mean of the batch's - c_k)
    empty       is put beside the centroid of the largest cluster, at a small random offset (as faiss does)

Cosine: points and centroids have unit length, and c_k is the direction of the mean. Features of any float type are
computed with in float32, also under autocast. Sums are matrix products and all draws are from the generator given, so
that a seed gives the same clusters again on the same device.

A point of zeros has no direction: under cosine it starts no cluster, moves no centroid and gets label 0.
"""

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.maths.kmeans_steps import (
    MOST_CLUSTERS,
    TooFewPointsError,
    Totals,
    as_points,
    assign,
    check_clusters,
    draw_start,
    exactly,
    moved,
    reseed,
    too_few,
    totals,
)

__all__ = [
    "MOST_CLUSTERS",
    "Clustering",
    "MiniBatchKMeans",
    "TooFewPointsError",
    "assign",
    "centroid_distances",
    "cluster_shares",
    "full_kmeans",
    "plus_plus",
]

START_POINTS = 256
"""Points a cluster that mini-batch k-means starts with; faiss does not look at more either."""


@dataclass(frozen=True)
class Clustering:
    """What k-means found.

    Attributes:
        centroids: (K, D) float32, of unit length under cosine.
        labels: (N,) int64, the nearest centroid of each point.
        inertia: sum of squared distances of points, of unit length under cosine, from their centroids.
    """

    centroids: Tensor
    labels: Tensor
    inertia: float


def plus_plus(features: Tensor, clusters: int, *, generator: torch.Generator, cosine: bool = True) -> Tensor:
    """(K, D) float32 starting centroids: K of the (N, D) features, by k-means++.

    Raises:
        S4miError: fewer different points than clusters, too many clusters, or numbers that are not finite.
    """
    check_clusters(clusters)
    with exactly(features):
        return draw_start(as_points(features, cosine=cosine), clusters, generator=generator, cosine=cosine)


def full_kmeans(
    features: Tensor,
    clusters: int,
    *,
    iterations: int = 100,
    generator: torch.Generator,
    cosine: bool = True,
    start: Tensor | None = None,
) -> Clustering:
    """Lloyd's k-means of (N, D) features, until no label changes or for so many `iterations`.

    Args:
        start: (K, D) centroids to start from; None: `plus_plus`.

    Raises:
        S4miError: fewer different points than clusters, too many clusters, or numbers that are not finite.
        ValueError: the start has not K centroids.
    """
    check_clusters(clusters)
    if start is not None and len(start) != clusters:
        raise ValueError(f"{len(start)} centroids are no start of {clusters} clusters")
    with exactly(features):
        points = as_points(features, cosine=cosine)
        if start is None:
            centroids = draw_start(points, clusters, generator=generator, cosine=cosine)
        else:
            centroids = as_points(start.to(points.device), cosine=cosine)
        labels = assign(points, centroids, cosine=cosine)
        for _ in range(iterations):
            found = totals(points, labels, centroids)
            centroids = moved(centroids, found.means, cosine=cosine)
            empty = found.counts == 0
            if bool(empty.any()):
                centroids, split = reseed(centroids, found, empty, generator=generator, cosine=cosine)
                if not split:  # no cluster has two different points
                    raise too_few(len(points), int((~empty).sum()), clusters)
            before, labels = labels, assign(points, centroids, cosine=cosine)
            if torch.equal(labels, before) and not bool(empty.any()):
                break
        inertia = float(totals(points, labels, centroids).scatter.sum())
        return Clustering(centroids=centroids, labels=labels, inertia=inertia)


def centroid_distances(centroids: Tensor) -> Tensor:
    """(K, K) cosine distances 1 - cos in [0, 2] between (K, D) centroids, all of them near 0 after a collapse."""
    with exactly(centroids):
        unit = F.normalize(centroids.float(), dim=1)
        return (1 - unit @ unit.T).clamp(0, 2).fill_diagonal_(0)


def cluster_shares(labels: Tensor, clusters: int) -> Tensor:
    """(K,) float32 shares of the labels, of any shape and integer type, that each cluster holds; they sum to 1.

    Raises:
        ValueError: no labels, or one beyond the clusters.
    """
    counts = torch.bincount(labels.flatten().long(), minlength=clusters)
    if not labels.numel() or len(counts) > clusters:
        raise ValueError(f"{labels.numel()} labels up to {len(counts) - 1} have no shares of {clusters} clusters")
    return counts.float() / labels.numel()


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
        """Move the centroids towards (N, D) features, or keep these for the start.

        Raises:
            S4miError: all points collected are fewer different ones than clusters; numbers that are not finite.
        """
        with exactly(features):
            points = as_points(features, cosine=self.cosine)
            if self._state is not None:
                self._move(points, self._state)
                return
            self._waiting.append(points.clone())
            if sum(map(len, self._waiting)) >= self.start_points:
                self._started()

    def assign(self, features: Tensor) -> Tensor:
        """(N,) int64 labels in [0, K), which fit into uint8, of (N, D) features, in bounded memory."""
        return assign(features, self._started().centroids, cosine=self.cosine)

    def _started(self) -> "_State":
        """What there is to know so far; with fewer points than asked for, the start is made of those there are."""
        if self._state is not None:
            return self._state
        if not self._waiting:
            raise ValueError("k-means has seen no points yet")
        points = torch.cat(self._waiting)
        with exactly(points):
            start = full_kmeans(
                points,
                self.clusters,
                iterations=self.start_iterations,
                generator=self._generator,
                cosine=self.cosine,
            )
            found = totals(points, start.labels, start.centroids)
            centroids = moved(start.centroids, found.means, cosine=self.cosine)
            none = torch.zeros_like(found.counts)
            self._state = _State(centroids, found.means, found.counts, seen=none, scatter=none.float())
        self._waiting = []
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
        window = Totals(state.means, counts=state.seen, scatter=state.scatter)
        state.centroids, split = reseed(state.centroids, window, few, generator=self._generator, cosine=self.cosine)
        for new, largest in split.items():
            state.counts[largest] //= 2
            state.means[new], state.counts[new] = state.centroids[new], 0  # the next points make its mean alone
        state.seen, state.scatter = torch.zeros_like(state.seen), torch.zeros_like(state.scatter)


@dataclass
class _State:
    """Of mini-batch k-means; `means` are the centroids before they are brought to unit length.

    `seen` and `scatter` are sums since the clusters were last looked through.
    """

    centroids: Tensor
    means: Tensor
    counts: Tensor
    seen: Tensor
    scatter: Tensor
    updates: int = 0
