"""k-means on the device that the features are on: Lloyd's, of a whole set.

    start       k-means++ (Arthur & Vassilvitskii 2007): the next centroid is a point drawn by its squared distance
                from the nearest so far, one draw a centroid (not the greedy variant, which takes the best of several)
    Lloyd       label(x) = argmin_k |x - c_k|,   c_k = mean of the points labelled k
    empty       is put beside the centroid of the largest cluster, at a small random offset (as faiss does)

Cosine: points and centroids have unit length, and c_k is the direction of the mean. Features of any float type are
computed with in float32, also under autocast. Sums are matrix products and all draws are from the generator given, so
that a seed gives the same clusters again on the same device. With a generator of the features' own device nothing waits
for it before the end.

A point of zeros has no direction: under cosine it starts no cluster, moves no centroid and gets label 0.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.maths.kmeans_steps import (
    MOST_CLUSTERS,
    TooFewPointsError,
    all_finite,
    as_points,
    assign,
    check_clusters,
    draw_start,
    exactly,
    lloyd,
    refuse_few,
    refuse_infinite,
    totals,
)

__all__ = [
    "MOST_CLUSTERS",
    "Clustering",
    "TooFewPointsError",
    "assign",
    "centroid_distances",
    "full_kmeans",
    "plus_plus",
]


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
        points = as_points(features, cosine=cosine)
        chosen, different = draw_start(points, clusters, generator=generator, cosine=cosine)
        refuse_infinite(all_finite(features))
        refuse_few(len(points), clusters, different)
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
            centroids, different = draw_start(points, clusters, generator=generator, cosine=cosine)
        else:
            centroids = as_points(start.to(points.device), cosine=cosine)
            different = torch.full((), clusters, dtype=torch.int64, device=points.device)  # as far as is known
        found = lloyd(points, centroids, different, iterations=iterations, generator=generator, cosine=cosine)
        refuse_infinite(all_finite(features))
        refuse_few(len(points), clusters, found.different)
        inertia = float(totals(points, found.labels, found.centroids).scatter.sum())
        return Clustering(centroids=found.centroids, labels=found.labels, inertia=inertia)


def centroid_distances(centroids: Tensor) -> Tensor:
    """(K, K) cosine distances 1 - cos in [0, 2] between (K, D) centroids, all of them near 0 after a collapse."""
    with exactly(centroids):
        unit = F.normalize(centroids.float(), dim=1)
        return (1 - unit @ unit.T).clamp(0, 2).fill_diagonal_(0)
