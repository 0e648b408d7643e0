"""The steps that k-means is made of; `kmeans` puts them together and says what they compute.

Points are (N, D) float32, of unit length under cosine; `as_points` makes them of features.

No step waits for the device: what is wrong with the points stays there, as a number, until `refuse_infinite` and
`refuse_few` look at it. Points with which something is wrong go through all steps; what comes out means nothing then.
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
CHUNK = 2**14
"""Points that distances are computed of at once: 16 MiB for 255 clusters, and 8 MiB of offsets in 128 dimensions."""
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
    """(N, D) features of any float type → float32 points."""
    points = features.detach().float()
    return F.normalize(points, dim=1) if cosine else points


def all_finite(features: Tensor) -> Tensor:
    """Scalar bool, on their device."""
    return torch.isfinite(features).all()


def check_clusters(clusters: int) -> None:
    """Raise `S4miError` for more clusters than labels are kept of, or for none."""
    if not 1 <= clusters <= MOST_CLUSTERS:
        raise S4miError(f"{clusters} clusters cannot be had; ask for 1 to {MOST_CLUSTERS}")


class TooFewPointsError(S4miError):
    """Fewer points differ than there shall be clusters."""


def refuse_infinite(finite: Tensor) -> None:
    """Raise `S4miError` unless features are `finite`, a scalar bool; this waits for the device."""
    if not bool(finite):
        raise S4miError("features to cluster are not finite; lower optim.lr, or train with hardware.precision=32")


def refuse_few(points: int, clusters: int, different: Tensor) -> None:
    """Raise `TooFewPointsError` if of so many points fewer are `different`, a scalar; this waits for the device."""
    if int(different) < clusters:
        raise TooFewPointsError(
            f"{clusters} clusters cannot be made of {points} points of which {int(different)} differ; "
            "ask for fewer clusters or give more points"
        )


def free_to_look(points: Tensor) -> bool:
    """Whether to read a number costs nothing: on a CPU, where what need not be done can then be left out."""
    return points.device.type == "cpu"


def draw_start(points: Tensor, clusters: int, *, generator: torch.Generator, cosine: bool) -> tuple[Tensor, Tensor]:
    """K of the (N, D) points by k-means++, and of how many of them, a scalar, no two are the same."""
    if not len(points):
        return points.new_zeros(clusters, points.shape[1]), torch.zeros((), dtype=torch.int64, device=points.device)
    length = torch.linalg.vector_norm(points, dim=1).square()
    can_start = length > 0 if cosine else torch.ones_like(length, dtype=torch.bool)
    chance, chosen = can_start.float(), torch.empty(clusters, points.shape[1], device=points.device)
    different = torch.zeros((), dtype=torch.int64, device=points.device)
    for number in range(clusters):
        different += (chance > 0).any()  # once there is none left, there never is one again
        chosen[number] = points.index_select(0, _draw(chance, generator=generator))[0]
        apart = [torch.linalg.vector_norm(part - chosen[number], dim=1) for part in torch.split(points, CHUNK)]
        distance = torch.cat(apart).square()
        distance = torch.where(can_start & (distance > SAME**2 * length), distance, 0)
        chance = torch.minimum(chance, distance) if number else distance
    return chosen, different


def _draw(chances: Tensor, *, generator: torch.Generator) -> Tensor:
    """(1,) index of one of (N,) chances, drawn in proportion to them: the first to arrive of as many Poisson processes.

    With no chance at all it is the first.
    """
    waits = drawn_waits(len(chances), generator).clamp_min_(1e-30).to(chances.device)
    return (chances / waits).argmax(dim=0, keepdim=True)


def drawn_waits(count: int, generator: torch.Generator) -> Tensor:
    """(N,) draws of the exponential distribution, on the generator's device."""
    return torch.empty(count, device=generator.device).exponential_(generator=generator)


def drawn_direction(dimensions: int, generator: torch.Generator) -> Tensor:
    """(D,) of unit length, any direction alike, on the generator's device."""
    return F.normalize(torch.randn(dimensions, generator=generator, device=generator.device), dim=0)


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
class ClusterStats:
    """Of the points of each cluster: (K, D) means, (K,) int64 counts, (K,) sums of squared distances."""

    means: Tensor
    counts: Tensor
    scatter: Tensor


def totals(points: Tensor, labels: Tensor, centroids: Tensor) -> ClusterStats:
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
        scatter += member.float().T @ torch.linalg.vector_norm(offset, dim=1).square()
    return ClusterStats(centroids + offsets / counts.clamp_min(1)[:, None], counts=counts, scatter=scatter)


def counted(labels: Tensor, clusters: int) -> Tensor:
    """(K,) int64: how many of the labels, of any shape, are of each cluster; `bincount` would wait for the device."""
    labels = labels.flatten().long()
    none = torch.zeros(clusters, dtype=torch.int64, device=labels.device)
    return none.scatter_add_(0, labels, torch.ones_like(labels))


def moved(centroids: Tensor, means: Tensor, *, cosine: bool) -> Tensor:
    """The means as centroids; under cosine one whose points cancel out has no direction and stays where it was."""
    if not cosine:
        return means.clone()
    length = means.norm(dim=1, keepdim=True)
    return torch.where(length > SAME, means / length.clamp_min(SAME), centroids)


def reseed(
    centroids: Tensor, found: ClusterStats, empty: Tensor, *, generator: torch.Generator, cosine: bool
) -> tuple[Tensor, Tensor]:
    """Centroids in which each `empty` one splits the largest cluster, and (K,) int64: which, or -1 where it split none.

    The largest is that of the largest scatter, as a cluster of one and the same point cannot be split however many hold
    it. Its centroid stays, so that no point gets farther from its nearest.
    """
    numbers = torch.arange(len(centroids), device=centroids.device)
    counts = found.counts.clamp_min(1).float()
    spread = (found.scatter / counts).sqrt()
    scatter = torch.where(empty | (spread <= SAME * centroids.norm(dim=1)), 0, found.scatter)
    split = torch.full_like(numbers, -1)
    for new in empty.nonzero().flatten().tolist() if free_to_look(centroids) else range(len(centroids)):
        largest = scatter.argmax(dim=0, keepdim=True)
        splits = (numbers == new) & empty & (scatter[largest] > 0)  # (K,), one at most
        direction = drawn_direction(centroids.shape[1], generator).to(centroids.device)
        beside = centroids[largest] + OFFSET * spread[largest] * direction
        centroids = torch.where(splits[:, None], F.normalize(beside, dim=1) if cosine else beside, centroids)
        halved = splits | (splits.any() & (numbers == largest))
        scatter = torch.where(halved, scatter[largest] / 2, scatter)
        spread = torch.where(splits, spread[largest], spread)
        split = torch.where(splits, largest, split)
    return centroids, split


@dataclass(frozen=True)
class LloydState:
    """Where Lloyd's k-means came to; `different`: how many points differ, or at least as many as there are clusters."""

    centroids: Tensor
    labels: Tensor
    different: Tensor


def lloyd(
    points: Tensor,
    centroids: Tensor,
    different: Tensor,
    *,
    iterations: int,
    generator: torch.Generator,
    cosine: bool,
) -> LloydState:
    """From starting centroids, of points of which so many are known to be `different`.

    On a device that must not be waited for all iterations run; from the one on that changes nothing, none counts.
    """
    labels = assign(points, centroids, cosine=cosine)
    done = torch.zeros((), dtype=torch.bool, device=points.device)
    for _ in range(iterations):
        found = totals(points, labels, centroids)
        means = moved(centroids, found.means, cosine=cosine)
        empty = found.counts == 0
        if not free_to_look(points) or bool(empty.any()):
            means, split = reseed(means, found, empty, generator=generator, cosine=cosine)
            stuck = empty.any() & (split < 0).all()  # no cluster has two different points
            different = torch.where(stuck & ~done, different.minimum((~empty).sum()), different)
            done = done | stuck
        nearest = assign(points, means, cosine=cosine)
        settled = (nearest == labels).all() & ~empty.any()
        centroids, labels = torch.where(done, centroids, means), torch.where(done, labels, nearest)
        done = done | settled
        if free_to_look(points) and bool(done):
            break
    return LloydState(centroids, labels, different)
