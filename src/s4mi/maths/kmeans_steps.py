"""The steps that k-means is made of; `kmeans` puts them together and says what they compute.

Points are (N, D) float32, of unit length under cosine; `as_points` makes them of features.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.errors import S4miError

MOST_CLUSTERS = 255
"""Labels from 0 to 254 are kept as uint8, where 255 is left for pixels without one."""
CHUNK = 2**16
"""Points that distances are computed of at once: 64 MiB for 255 clusters."""
SAME = 1e-6
"""Points no further apart than this share of their length are one point: what float32 cannot tell apart."""
OFFSET = 0.01
"""Distance of a re-seeded centroid from that of the cluster it splits, in standard deviations of that cluster."""


@contextmanager
def exactly(features: Tensor) -> Iterator[None]:
    """No gradients, float32 products also under autocast, and tensors to go on with also under inference mode."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(features.device.type, enabled=False):
        yield


def as_points(features: Tensor, *, cosine: bool) -> Tensor:
    """(N, D) features of any float type → float32 points.

    Raises:
        S4miError: numbers that are not finite.
    """
    if not bool(torch.isfinite(features).all()):
        raise S4miError("features to cluster are not finite; lower optim.lr, or train with hardware.precision=32")
    points = features.detach().float()
    return F.normalize(points, dim=1) if cosine else points


def check_clusters(clusters: int) -> None:
    """Raise `S4miError` for more clusters than labels are kept of, or for none."""
    if not 1 <= clusters <= MOST_CLUSTERS:
        raise S4miError(f"{clusters} clusters cannot be had; ask for 1 to {MOST_CLUSTERS}")


class TooFewPointsError(S4miError):
    """Fewer points differ than there shall be clusters."""


def too_few(points: int, different: int, clusters: int) -> TooFewPointsError:
    """What to say of points of which fewer differ than there shall be clusters."""
    return TooFewPointsError(
        f"{clusters} clusters cannot be made of {points} points of which {different} differ; "
        "ask for fewer clusters or give more points"
    )


def draw_start(points: Tensor, clusters: int, *, generator: torch.Generator, cosine: bool) -> Tensor:
    """K of the (N, D) points by k-means++.

    Raises:
        S4miError: fewer different points than clusters.
    """
    length = points.square().sum(dim=1)
    can_start = length > 0 if cosine else torch.ones_like(length, dtype=torch.bool)
    chance, chosen = can_start.float(), torch.empty(clusters, points.shape[1], device=points.device)
    for number in range(clusters):
        if not bool((chance > 0).any()):
            raise too_few(len(points), number, clusters)
        chosen[number] = points[_draw(chance, generator=generator)]
        distance = torch.cat([(part - chosen[number]).square().sum(dim=1) for part in torch.split(points, CHUNK)])
        distance = torch.where(can_start & (distance > SAME**2 * length), distance, 0)
        chance = torch.minimum(chance, distance) if number else distance
    return chosen


def _draw(chances: Tensor, *, generator: torch.Generator) -> Tensor:
    """Index of one of (N,) chances, drawn in proportion to them: the first to arrive of as many Poisson processes."""
    waits = torch.empty(len(chances), device=generator.device).exponential_(generator=generator).clamp_min_(1e-30)
    return (chances / waits.to(chances.device)).argmax()


def assign(features: Tensor, centroids: Tensor, *, cosine: bool = True, chunk: int = CHUNK) -> Tensor:
    """(N,) int64 labels in [0, K): the nearest of the (K, D) centroids to each of the (N, D) features.

    The first of several that are as near. No more than `chunk` points have their distances in memory at once.
    """
    with exactly(features):
        nearest = torch.empty(len(features), dtype=torch.int64, device=features.device)
        centroids = centroids.to(features.device, torch.float32)
        if cosine:
            centroids = F.normalize(centroids, dim=1)
        # |x - c|² is |x|² - 2 (x·c - |c|²/2). Seen from the middle of the centroids, where x is short, it is exact.
        middle = torch.zeros_like(centroids[0]) if cosine else centroids.mean(dim=0)
        centroids = centroids - middle
        bonus = torch.zeros_like(centroids[:, 0]) if cosine else centroids.square().sum(dim=1) / 2
        for part, into in zip(torch.split(features, chunk), torch.split(nearest, chunk), strict=True):
            into.copy_(((part.float() - middle) @ centroids.T - bonus).argmax(dim=1))
        return nearest


@dataclass(frozen=True)
class Totals:
    """Of the points of each cluster: (K, D) means, (K,) int64 counts, (K,) sums of squared distances."""

    means: Tensor
    counts: Tensor
    scatter: Tensor


def totals(points: Tensor, labels: Tensor, centroids: Tensor) -> Totals:
    """Sums of offsets from the centroids, which are short where the points may not be; an empty cluster's mean is it.

    They are matrix products, as `index_add_` adds in another order each time on a GPU.
    """
    known = torch.arange(len(centroids), device=points.device)
    offsets, counts = torch.zeros_like(centroids), torch.zeros_like(known)
    scatter = torch.zeros_like(centroids[:, 0])
    for part, label in zip(torch.split(points, CHUNK), torch.split(labels, CHUNK), strict=True):
        member = label[:, None] == known  # (n, K)
        offset = part - centroids[label]
        counts += member.sum(dim=0)
        offsets += member.float().T @ offset
        scatter += member.float().T @ offset.square().sum(dim=1)
    return Totals(centroids + offsets / counts.clamp_min(1)[:, None], counts=counts, scatter=scatter)


def moved(centroids: Tensor, means: Tensor, *, cosine: bool) -> Tensor:
    """The means as centroids; under cosine one whose points cancel out has no direction and stays where it was."""
    if not cosine:
        return means.clone()
    length = means.norm(dim=1, keepdim=True)
    return torch.where(length > SAME, means / length.clamp_min(SAME), centroids)


def reseed(
    centroids: Tensor, found: Totals, empty: Tensor, *, generator: torch.Generator, cosine: bool
) -> tuple[Tensor, dict[int, int]]:
    """Centroids in which each `empty` one splits the largest cluster, and which cluster each of them split.

    The largest is that of the largest scatter, as a cluster of one and the same point cannot be split however many hold
    it. Its centroid stays, so that no point gets farther from its nearest.
    """
    centroids, split = centroids.clone(), {}
    counts = found.counts.clamp_min(1).float()
    spread = (found.scatter / counts).sqrt()
    scatter = torch.where(empty | (spread <= SAME * centroids.norm(dim=1)), 0, found.scatter)
    for new in empty.nonzero().flatten().tolist():
        largest = int(scatter.argmax())
        if scatter[largest] == 0:
            break
        draw = torch.randn(centroids.shape[1], generator=generator, device=generator.device)
        offset = OFFSET * spread[largest] * F.normalize(draw, dim=0).to(centroids.device)
        beside = centroids[largest] + offset
        centroids[new] = F.normalize(beside, dim=0) if cosine else beside
        scatter[largest] = scatter[new] = scatter[largest] / 2
        spread[new] = spread[largest]
        split[new] = largest
    return centroids, split
