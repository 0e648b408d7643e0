"""k-means on the device of the features: k-means++, Lloyd's algorithm, and their steps.

    start       k-means++ (Arthur & Vassilvitskii 2007): the next centroid is a point drawn with a probability
                proportional to its squared distance from the nearest centroid so far, one draw per centroid (not the
                greedy variant, which takes the best of several)
    Lloyd       label(x) = argmin_k |x - c_k|,   c_k = mean of the points labelled k
    empty       an empty cluster's centroid is placed next to that of the largest cluster, at a small random offset
                (as in faiss)

Points are (N, D) float32, of unit length under cosine; `as_points` converts features of any float type. Under cosine,
c_k is the direction of the mean, and a point of zeros, which has no direction, starts no cluster, moves no centroid and
gets label 0. Sums are matrix products and all draws come from the given generator, so that a seed reproduces the
clusters on the same device.

No step synchronises with the device, given a generator on it: invalid points are counted there until `check_finite` and
`check_distinct` read the counts. Invalid points pass through all steps with meaningless results.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.contract import MOST_CLUSTERS
from s4mi.errors import S4miError

CHUNK = 2**14
"""Number of points per block of distances: 16 MiB for 255 clusters, and 8 MiB of offsets in 128 dimensions."""
SAME = 1e-6
"""Relative distance up to which two points count as equal, the resolution of float32."""
OFFSET = 0.01
"""Distance of a re-seeded centroid from that of the cluster it splits, in standard deviations of that cluster."""


@contextmanager
def full_precision(features: Tensor) -> Iterator[None]:
    """Disable gradients, autocast and inference mode, whose tensors could not be used in training later."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        yield


def as_points(features: Tensor, *, cosine: bool) -> Tensor:
    """(N, D) features of any float type → float32 points."""
    points = features.detach().float()
    return F.normalize(points, dim=1) if cosine else points


def all_finite(features: Tensor) -> Tensor:
    """Whether all features are finite, as a scalar bool on their device."""
    return torch.isfinite(features).all()


def check_clusters(clusters: int) -> None:
    """Raise `S4miError` unless the number of clusters is between 1 and `MOST_CLUSTERS`."""
    if not 1 <= clusters <= MOST_CLUSTERS:
        raise S4miError(f"clusters must be 1–{MOST_CLUSTERS} (given {clusters})")


class TooFewPointsError(S4miError):
    """There are fewer distinct points than clusters."""


def check_finite(finite: Tensor) -> None:
    """Raise `S4miError` unless `finite`, a scalar bool, is true; this synchronises with the device."""
    if not bool(finite):
        raise S4miError("features to cluster are not finite; lower optim.lr, or train with hardware.precision=32")


def check_distinct(points: int, clusters: int, distinct: Tensor) -> None:
    """Raise `TooFewPointsError` if `distinct`, a scalar, is below `clusters`; this synchronises with the device."""
    if int(distinct) < clusters:
        raise TooFewPointsError(
            f"{clusters} clusters need at least {clusters} distinct points (found {int(distinct)} among {points}); "
            "use fewer clusters or more points"
        )


def sync_is_free(points: Tensor) -> bool:
    """Whether reading a value does not stall the device: on a CPU, where unnecessary work can then be skipped."""
    return points.device.type == "cpu"


def plus_plus_start(
    points: Tensor, clusters: int, *, generator: torch.Generator, cosine: bool
) -> tuple[Tensor, Tensor]:
    """K of the (N, D) points drawn by k-means++, and the scalar number of distinct points among them."""
    if not len(points):
        return points.new_zeros(clusters, points.shape[1]), torch.zeros((), dtype=torch.int64, device=points.device)
    length = torch.linalg.vector_norm(points, dim=1).square()
    can_start = length > 0 if cosine else torch.ones_like(length, dtype=torch.bool)
    weight, chosen = can_start.float(), torch.empty(clusters, points.shape[1], device=points.device)
    distinct = torch.zeros((), dtype=torch.int64, device=points.device)
    for number in range(clusters):
        distinct += (weight > 0).any()  # once all weights are 0, they stay 0
        chosen[number] = points.index_select(0, _weighted_choice(weight, generator=generator))[0]
        distances = [torch.linalg.vector_norm(part - chosen[number], dim=1) for part in torch.split(points, CHUNK)]
        squared = torch.cat(distances).square()
        squared = torch.where(can_start & (squared > SAME**2 * length), squared, 0)
        weight = torch.minimum(weight, squared) if number else squared
    return chosen, distinct


def _weighted_choice(weights: Tensor, *, generator: torch.Generator) -> Tensor:
    """(1,) index drawn in proportion to (N,) weights, as the first arrival of Poisson processes with these rates.

    If all weights are 0, it is 0.
    """
    arrivals = exponential_draws(len(weights), generator).clamp_min_(1e-30).to(weights.device)
    return (weights / arrivals).argmax(dim=0, keepdim=True)


def exponential_draws(count: int, generator: torch.Generator) -> Tensor:
    """(N,) draws of the exponential distribution, on the generator's device."""
    return torch.empty(count, device=generator.device).exponential_(generator=generator)


def random_direction(dimensions: int, generator: torch.Generator) -> Tensor:
    """(D,) unit vector drawn uniformly, on the generator's device."""
    return F.normalize(torch.randn(dimensions, generator=generator, device=generator.device), dim=0)


def assign(features: Tensor, centroids: Tensor, *, cosine: bool = True, chunk: int = CHUNK) -> Tensor:
    """(N,) int64 labels in [0, K), the nearest of the (K, D) centroids to each of the (N, D) features.

    Ties go to the first centroid. Distances are in memory for at most `chunk` points at once.
    """
    with full_precision(features):
        labels = torch.empty(len(features), dtype=torch.int64, device=features.device)
        centroids = centroids.to(features.device, torch.float32)
        if cosine:
            centroids = F.normalize(centroids, dim=1)
        # |x - c|² = |x|² - 2 (x·c - |c|²/2); relative to the mean centroid, rounding errors are small.
        origin = torch.zeros_like(centroids[0]) if cosine else centroids.mean(dim=0)
        centroids = centroids - origin
        half_norm = torch.zeros_like(centroids[:, 0]) if cosine else centroids.square().sum(dim=1) / 2
        for part, out in zip(torch.split(features, chunk), torch.split(labels, chunk), strict=True):
            out.copy_(((part.float() - origin) @ centroids.T - half_norm).argmax(dim=1))
        return labels


@dataclass(frozen=True)
class ClusterStats:
    """Statistics of the points of each cluster.

    Attributes:
        means: (K, D). counts: (K,) int64. scatter: (K,) sums of squared distances from the centroids.
    """

    means: Tensor
    counts: Tensor
    scatter: Tensor


def cluster_stats(points: Tensor, labels: Tensor, centroids: Tensor) -> ClusterStats:
    """Statistics of the clusters of labelled points; the mean of an empty cluster is its centroid.

    Offsets from the centroids are summed, which are small even where the points are far from the origin. The sums are
    matrix products, because `index_add_` is not deterministic on a GPU.
    """
    numbers = torch.arange(len(centroids), device=points.device)
    offsets, counts = torch.zeros_like(centroids), torch.zeros_like(numbers)
    scatter = torch.zeros_like(centroids[:, 0])
    for part, label in zip(torch.split(points, CHUNK), torch.split(labels, CHUNK), strict=True):
        member = label[:, None] == numbers  # (n, K)
        offset = part - centroids[label]
        counts += member.sum(dim=0)
        offsets += member.float().T @ offset
        scatter += member.float().T @ torch.linalg.vector_norm(offset, dim=1).square()
    return ClusterStats(centroids + offsets / counts.clamp_min(1)[:, None], counts=counts, scatter=scatter)


def cluster_sizes(labels: Tensor, clusters: int) -> Tensor:
    """(K,) int64 number of labels of each cluster, from labels of any shape; `bincount` would synchronise."""
    labels = labels.flatten().long()
    zeros = torch.zeros(clusters, dtype=torch.int64, device=labels.device)
    return zeros.scatter_add_(0, labels, torch.ones_like(labels))


def updated_centroids(centroids: Tensor, means: Tensor, *, cosine: bool) -> Tensor:
    """The means as new centroids; under cosine, a mean of length 0 has no direction, and the centroid stays."""
    if not cosine:
        return means.clone()
    length = means.norm(dim=1, keepdim=True)
    return torch.where(length > SAME, means / length.clamp_min(SAME), centroids)


def reseed(
    centroids: Tensor, stats: ClusterStats, empty: Tensor, *, generator: torch.Generator, cosine: bool
) -> tuple[Tensor, Tensor]:
    """Place each `empty` centroid beside that of the largest cluster, which it splits.

    The largest is the one with the most scatter, because a cluster of identical points cannot be split. Its own
    centroid stays, so that no point gets farther from its nearest.

    Returns:
        (K, D) centroids, and the (K,) int64 cluster that each split, -1 for none.
    """
    numbers = torch.arange(len(centroids), device=centroids.device)
    counts = stats.counts.clamp_min(1).float()
    deviation = (stats.scatter / counts).sqrt()
    scatter = torch.where(empty | (deviation <= SAME * centroids.norm(dim=1)), 0, stats.scatter)
    split = torch.full_like(numbers, -1)
    for new in empty.nonzero().flatten().tolist() if sync_is_free(centroids) else range(len(centroids)):
        largest = scatter.argmax(dim=0, keepdim=True)
        splits = (numbers == new) & empty & (scatter[largest] > 0)  # (K,), at most one is true
        direction = random_direction(centroids.shape[1], generator).to(centroids.device)
        beside = centroids[largest] + OFFSET * deviation[largest] * direction
        centroids = torch.where(splits[:, None], F.normalize(beside, dim=1) if cosine else beside, centroids)
        halved = splits | (splits.any() & (numbers == largest))
        scatter = torch.where(halved, scatter[largest] / 2, scatter)
        deviation = torch.where(splits, deviation[largest], deviation)
        split = torch.where(splits, largest, split)
    return centroids, split


@dataclass(frozen=True)
class LloydState:
    """Result of Lloyd's algorithm.

    Attributes:
        centroids: (K, D). labels: (N,) int64.
        distinct: scalar number of distinct points, exact where it is below K.
    """

    centroids: Tensor
    labels: Tensor
    distinct: Tensor


def lloyd(
    points: Tensor,
    centroids: Tensor,
    distinct: Tensor,
    *,
    iterations: int,
    generator: torch.Generator,
    cosine: bool,
) -> LloydState:
    """Run Lloyd's algorithm until no label changes, or for a number of `iterations`.

    On a GPU all iterations run, because a check would synchronise; those after convergence have no effect.

    Args:
        centroids: (K, D) starting centroids.
        distinct: scalar number of points known to be distinct, such as from `plus_plus_start`.
    """
    labels = assign(points, centroids, cosine=cosine)
    done = torch.zeros((), dtype=torch.bool, device=points.device)
    for _ in range(iterations):
        stats = cluster_stats(points, labels, centroids)
        means = updated_centroids(centroids, stats.means, cosine=cosine)
        empty = stats.counts == 0
        if not sync_is_free(points) or bool(empty.any()):
            means, split = reseed(means, stats, empty, generator=generator, cosine=cosine)
            stuck = empty.any() & (split < 0).all()  # no cluster has two distinct points
            distinct = torch.where(stuck & ~done, distinct.minimum((~empty).sum()), distinct)
            done = done | stuck
        nearest = assign(points, means, cosine=cosine)
        converged = (nearest == labels).all() & ~empty.any()
        centroids, labels = torch.where(done, centroids, means), torch.where(done, labels, nearest)
        done = done | converged
        if sync_is_free(points) and bool(done):
            break
    return LloydState(centroids, labels, distinct)


def centroid_distances(centroids: Tensor) -> Tensor:
    """(K, K) cosine distances 1 - cos in [0, 2] between (K, D) centroids, all near 0 after a collapse."""
    with full_precision(centroids):
        unit = F.normalize(centroids.float(), dim=1)
        return (1 - unit @ unit.T).clamp(0, 2).fill_diagonal_(0)
