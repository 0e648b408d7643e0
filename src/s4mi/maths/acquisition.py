"""Which images to annotate next: how unsure the answers are, how unlike the images, and a choice by both.

    entropy         -Σ_k p_k log p_k / log K                                      of one answer, in [0, 1]
    disagreement    H(mean_m p_m) - mean_m H(p_m), over log K                     of several (BALD, Houlsby et al. 2011)
    k-centre        next = argmax_i  u_i · min_{j ∈ L} |x_i - x_j|                greedy (Sener & Savarese 2018)
    typicality      1 / mean distance to the nearest neighbours                   (TypiClust, Hacohen et al. 2022)

Features are compared by their direction alone: distances are those of vectors of length 1, from 0 to 2.

Order and ties: everything here is deterministic. Of candidates with equal scores the one that comes first is taken, so
whoever gives them in the order of their ids gets the smallest id.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEIGHBOURS = 20
"""Whose mean distance tells how typical an image is; of a smaller cluster, all of them (Hacohen et al. 2022)."""
MOST_CLUSTERS = 500
"""TypiClust's cap: with more, clusters of one or two images say nothing about what is typical."""
SAME = 1e-12


@dataclass
class GroupLimit:
    """At most `most` chosen of each group; 0: no limit. None is a group of one image.

    Attributes:
        groups: of every candidate, by position.
    """

    groups: Sequence[Hashable | None]
    most: int = 0
    taken: Counter[Hashable] = field(default_factory=Counter)

    def allows(self, position: int) -> bool:
        """Whether this candidate may still be chosen."""
        group = self.groups[position]
        return not self.most or group is None or self.taken[group] < self.most

    def take(self, position: int) -> None:
        """It was chosen."""
        group = self.groups[position]
        if group is not None:
            self.taken[group] += 1


@dataclass(frozen=True)
class Selection:
    """A chosen candidate.

    Attributes:
        position: among the candidates. worth: what it was chosen by, the larger the better.
        spread: how unlike what was there before it is (k-centre), or how typical (TypiClust); None where not looked at.
        near: for k-centre, the row that it is nearest to; None where there was none.
        cluster: for TypiClust, how many images its cluster has.
    """

    position: int
    worth: float
    spread: float | None = None
    near: int | None = None
    cluster: int | None = None


def entropy(probabilities: NDArray[np.floating], *, axis: int = 0) -> Floats:
    """Entropy along `axis` of K probabilities as a share of the largest there can be, log K: from 0 to 1."""
    p = np.asarray(probabilities, dtype=np.float64)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.asarray(-(p * logs).sum(axis=axis) / np.log(p.shape[axis]) + 0.0)


def disagreement(probabilities: NDArray[np.floating]) -> Floats:
    """(M, K, ...) answers of M members → (...) mutual information of answer and member, a share of log K."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(np.maximum(entropy(p.mean(axis=0)) - entropy(p, axis=1).mean(axis=0), 0.0))


def binary(probabilities: NDArray[np.floating]) -> Floats:
    """(...) probabilities of labels that may go together → (2, ...): of each label, that it is there or not."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.stack([p, 1 - p])


def ranks(values: Floats) -> Floats:
    """(N,) → their rank as a share, in (0, 1]: of N different values the largest has 1; equal ones share a mean."""
    if not len(values):
        return np.zeros(0)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse] / len(values))


def directions(features: NDArray[np.floating]) -> Floats:
    """(N, D) → rows of length 1; a row of zeros stays one."""
    x = np.asarray(features, dtype=np.float64)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), SAME))


def distances(left: Floats, right: Floats) -> Floats:
    """(N, D), (M, D) of length 1 → (N, M)."""
    return np.asarray(np.sqrt(np.maximum(2 - 2 * left @ right.T, 0)))


def by_weight(weights: Floats, *, count: int, cap: GroupLimit) -> list[Selection]:
    """The candidates with the largest weights."""
    picks: list[Selection] = []
    for position in np.argsort(-weights, kind="stable").tolist():
        if len(picks) == count:
            break
        if cap.allows(position):
            cap.take(position)
            picks.append(Selection(position, float(weights[position])))
    return picks


def at_random(number: int, *, count: int, cap: GroupLimit, generator: np.random.Generator) -> list[Selection]:
    """Any of `number` candidates."""
    return [Selection(pick.position, 0.0) for pick in by_weight(generator.random(number), count=count, cap=cap)]


def k_centre(
    features: Floats, known: Floats, *, count: int, cap: GroupLimit, weights: Floats | None = None
) -> list[Selection]:
    """Greedy k-centre: always the candidate furthest from what is known or chosen, its distance times its weight.

    Args:
        features: (N, D) of candidates, of length 1. known: (L, D) of the images that are annotated already.
        weights: (N,) above 0; None: all alike.

    Without any known image the first is the one nearest to the mean of all, or the one of the largest weight.
    """
    n = len(features)
    weights = np.ones(n) if weights is None else weights
    picks: list[Selection] = []
    free = np.ones(n, dtype=bool)
    if len(known):
        to_known = distances(features, known)
        near, nearest = to_known.argmin(axis=1), to_known.min(axis=1)
    else:
        # No distance tells candidates apart yet, so that the first one is the most central of the largest weight.
        near, nearest = np.full(n, -1), np.full(n, np.inf)
    while len(picks) < count and free.any():
        if np.isinf(nearest).any():
            central = features @ features.mean(axis=0)
            worth = weights + 1e-9 * central
        else:
            worth = weights * nearest
        position = int(np.where(free, worth, -np.inf).argmax())
        free[position] = False
        if not cap.allows(position):
            continue
        cap.take(position)
        first = np.isinf(nearest[position])
        spread = None if first else float(nearest[position])
        close = None if near[position] < 0 else int(near[position])
        picks.append(Selection(position, float(weights[position] if first else worth[position]), spread, close))
        away = distances(features, features[position : position + 1])[:, 0]
        near = np.where(away < nearest, len(known) + position, near)
        nearest = np.minimum(nearest, away)
    return picks


def typicality(features: Floats, *, neighbours: int = NEIGHBOURS) -> Floats:
    """(N, D) of one cluster → (N,) the reciprocal of each one's mean distance to its nearest neighbours."""
    n = len(features)
    if n == 1:
        return np.ones(1)
    between = distances(features, features)
    np.fill_diagonal(between, np.inf)
    k = min(neighbours, n - 1)
    nearest = np.partition(between, k - 1, axis=1)[:, :k]
    return np.asarray(1 / np.maximum(nearest.mean(axis=1), SAME))


def typical(
    features: Floats, known: Floats, *, clusters: NDArray[np.integer], count: int, cap: GroupLimit,
    weights: Floats | None = None,
) -> list[Selection]:  # fmt: skip
    """TypiClust: from the largest cluster that the fewest known or chosen images are of, its most typical image.

    Args:
        features: (N, D) of candidates, of length 1. known: (L, D) of the images that are annotated already.
        clusters: (N + L,) of candidates and known images. weights: (N,) that typicality is multiplied with.
    """
    n = len(features)
    everything = np.concatenate([features, known]) if len(known) else features
    weights = np.ones(n) if weights is None else weights
    sizes, covered = np.bincount(clusters), np.bincount(clusters[n:], minlength=int(clusters.max()) + 1)
    typicalities = np.zeros(len(everything))
    for cluster in np.flatnonzero(sizes):
        members = np.flatnonzero(clusters == cluster)
        typicalities[members] = typicality(everything[members])
    free = np.ones(n, dtype=bool)
    picks: list[Selection] = []
    while len(picks) < count and free.any():
        open_ = np.flatnonzero(np.bincount(clusters[:n][free], minlength=len(sizes)))
        cluster = min(open_, key=lambda one: (covered[one], -sizes[one], one))
        worth = np.where(free & (clusters[:n] == cluster), typicalities[:n] * weights, -np.inf)
        position = int(worth.argmax())
        free[position] = False
        if not cap.allows(position):
            continue
        cap.take(position)
        covered[cluster] += 1
        picks.append(
            Selection(
                position, float(worth[position]), spread=float(typicalities[position]), cluster=int(sizes[cluster])
            )
        )
    return picks


def clusters_of(features: Floats, number: int, *, seed: int) -> NDArray[np.int64]:
    """(N, D) → (N,) clusters by k-means, `number` of them at most."""
    from sklearn.cluster import KMeans  # here: it takes seconds to import, and only TypiClust needs it

    found = KMeans(min(number, MOST_CLUSTERS, len(features)), n_init=1, random_state=seed).fit_predict(features)
    return np.asarray(found, dtype=np.int64)
