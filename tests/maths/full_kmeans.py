"""k-means of a whole set from the steps of the package, for tests against other libraries and of mini-batches."""

from dataclasses import dataclass

import torch
from torch import Tensor

from s4mi.maths.kmeans import (
    all_finite,
    as_points,
    check_clusters,
    check_distinct,
    check_finite,
    cluster_stats,
    full_precision,
    lloyd,
    plus_plus_start,
)


@dataclass(frozen=True)
class Clustering:
    """Result of k-means.

    Attributes:
        centroids: (K, D) float32, of unit length under cosine.
        labels: (N,) int64, the nearest centroid of each point.
        inertia: sum of squared distances of points, of unit length under cosine, from their centroids.
    """

    centroids: Tensor
    labels: Tensor
    inertia: float


def plus_plus(features: Tensor, clusters: int, *, generator: torch.Generator, cosine: bool = True) -> Tensor:
    """(K, D) float32 starting centroids: K of the (N, D) features, by k-means++."""
    check_clusters(clusters)
    with full_precision(features):
        points = as_points(features, cosine=cosine)
        chosen, distinct = plus_plus_start(points, clusters, generator=generator, cosine=cosine)
        check_finite(all_finite(features))
        check_distinct(len(points), clusters, distinct)
        return chosen


def full_kmeans(
    features: Tensor,
    clusters: int,
    *,
    iterations: int = 100,
    generator: torch.Generator,
    cosine: bool = True,
    start: Tensor | None = None,
) -> Clustering:
    """Lloyd's algorithm on (N, D) features, from (K, D) centroids `start` or from k-means++."""
    check_clusters(clusters)
    with full_precision(features):
        points = as_points(features, cosine=cosine)
        if start is None:
            centroids, distinct = plus_plus_start(points, clusters, generator=generator, cosine=cosine)
        else:
            centroids = as_points(start, cosine=cosine)
            distinct = torch.full((), clusters, dtype=torch.int64)  # as far as is known
        found = lloyd(points, centroids, distinct, iterations=iterations, generator=generator, cosine=cosine)
        check_finite(all_finite(features))
        check_distinct(len(points), clusters, found.distinct)
        inertia = float(cluster_stats(points, found.labels, found.centroids).scatter.sum())
        return Clustering(centroids=found.centroids, labels=found.labels, inertia=inertia)
