"""Active learning: uncertainty of predictions, diversity of images, and selection by either or both.

    entropy         -Σ_k p_k log p_k / log K                              of one prediction, in [0, 1]
    disagreement    [H(mean_m p_m) - mean_m H(p_m)] / log K               of an ensemble (BALD, Houlsby et al. 2011)
    k-centre        next = argmax_i  u_i · min_{j ∈ L} |x_i - x_j|        greedy (Sener & Savarese 2018)
    typicality      1 / mean distance to the nearest neighbours           (TypiClust, Hacohen et al. 2022)

Features are compared by direction: distances are between vectors of length 1, from 0 to 2.

Everything is deterministic. Ties go to the candidate that comes first, so that candidates in the order of their ids
yield the smallest id.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEIGHBOURS = 20
"""Maximum number of nearest neighbours for typicality (Hacohen et al. 2022)."""
MOST_CLUSTERS = 500
"""TypiClust's maximum number of clusters, beyond which clusters become too small to define typicality."""
EPSILON = 1e-12
"""Lower bound of lengths and distances in a denominator."""


@dataclass
class GroupLimit:
    """Limit of selected images per group, such as a patient.

    Attributes:
        groups: group of every candidate, by position; None is a group of its own.
        most: maximum number per group; 0: no limit.
        taken: number selected so far, by group.
    """

    groups: Sequence[Hashable | None]
    most: int = 0
    taken: Counter[Hashable] = field(default_factory=Counter)

    def allows(self, position: int) -> bool:
        """Whether this candidate may still be selected."""
        group = self.groups[position]
        return not self.most or group is None or self.taken[group] < self.most

    def take(self, position: int) -> None:
        """Count a selected candidate."""
        group = self.groups[position]
        if group is not None:
            self.taken[group] += 1


@dataclass(frozen=True)
class Selection:
    """A selected candidate.

    Attributes:
        position: index among the candidates. worth: score that it was selected by, larger is better.
        spread: distance to the nearest known or selected image (k-centre), or typicality (TypiClust); None for other
            strategies and for a first image without known ones.
        near: for k-centre, the index of that nearest image, among known images and then selected candidates.
        cluster: for TypiClust, the number of images in its cluster.
    """

    position: int
    worth: float
    spread: float | None = None
    near: int | None = None
    cluster: int | None = None


def entropy(probabilities: NDArray[np.floating], *, axis: int = 0) -> Floats:
    """Entropy along `axis` of K probabilities, divided by its maximum log K: from 0 to 1."""
    p = np.asarray(probabilities, dtype=np.float64)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.asarray(-(p * logs).sum(axis=axis) / np.log(p.shape[axis]) + 0.0)


def disagreement(probabilities: NDArray[np.floating]) -> Floats:
    """(M, K, ...) probabilities of M members → (...) mutual information of prediction and member, divided by log K."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray(np.maximum(entropy(p.mean(axis=0)) - entropy(p, axis=1).mean(axis=0), 0.0))


def binary(probabilities: NDArray[np.floating]) -> Floats:
    """(...) multi-label probabilities → (2, ...) probabilities that each label is present and absent."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.stack([p, 1 - p])


def ranks(values: Floats) -> Floats:
    """(N,) values → their ranks divided by N, in (0, 1]; ties get their mean rank."""
    if not len(values):
        return np.zeros(0)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse] / len(values))


def directions(features: NDArray[np.floating]) -> Floats:
    """(N, D) features → rows of length 1; rows of zeros stay zero."""
    x = np.asarray(features, dtype=np.float64)
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), EPSILON))


def distances(left: Floats, right: Floats) -> Floats:
    """(N, D) and (M, D) rows of length 1 → (N, M) Euclidean distances."""
    return np.asarray(np.sqrt(np.maximum(2 - 2 * left @ right.T, 0)))


def by_weight(weights: Floats, *, count: int, cap: GroupLimit) -> list[Selection]:
    """Select the candidates with the largest weights."""
    picks: list[Selection] = []
    for position in np.argsort(-weights, kind="stable").tolist():
        if len(picks) == count:
            break
        if cap.allows(position):
            cap.take(position)
            picks.append(Selection(position, float(weights[position])))
    return picks


def at_random(number: int, *, count: int, cap: GroupLimit, generator: np.random.Generator) -> list[Selection]:
    """Select from `number` candidates at random."""
    return [Selection(pick.position, 0.0) for pick in by_weight(generator.random(number), count=count, cap=cap)]


def k_centre(
    features: Floats, known: Floats, *, count: int, cap: GroupLimit, weights: Floats | None = None
) -> list[Selection]:
    """Greedy k-centre: repeatedly select the candidate with the largest weight × distance to known and selected images.

    Without known images, the first is the candidate of the largest weight and, of equal ones, the one nearest to the
    mean of all.

    Args:
        features: (N, D) features of the candidates, of length 1. known: (L, D) features of the annotated images.
        weights: (N,) positive weights; None: equal weights.
    """
    n = len(features)
    weights = np.ones(n) if weights is None else weights
    picks: list[Selection] = []
    free = np.ones(n, dtype=bool)
    if len(known):
        to_known = distances(features, known)
        near, nearest = to_known.argmin(axis=1), to_known.min(axis=1)
    else:
        # There are no distances yet: the first one is the most central of those with the largest weight.
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
        neighbour = None if near[position] < 0 else int(near[position])
        picks.append(Selection(position, float(weights[position] if first else worth[position]), spread, neighbour))
        to_pick = distances(features, features[position : position + 1])[:, 0]
        near = np.where(to_pick < nearest, len(known) + position, near)
        nearest = np.minimum(nearest, to_pick)
    return picks


def typicality(features: Floats, *, neighbours: int = NEIGHBOURS) -> Floats:
    """(N, D) features of one cluster → (N,) reciprocal mean distances to the nearest neighbours."""
    n = len(features)
    if n == 1:
        return np.ones(1)
    pairwise = distances(features, features)
    np.fill_diagonal(pairwise, np.inf)
    k = min(neighbours, n - 1)
    nearest = np.partition(pairwise, k - 1, axis=1)[:, :k]
    return np.asarray(1 / np.maximum(nearest.mean(axis=1), EPSILON))


def typical(
    features: Floats, known: Floats, *, clusters: NDArray[np.integer], count: int, cap: GroupLimit,
    weights: Floats | None = None,
) -> list[Selection]:  # fmt: skip
    """TypiClust: repeatedly select the most typical image of the cluster with the fewest known or selected images.

    Of clusters with equally few, the largest is taken.

    Args:
        features: (N, D) features of the candidates, of length 1. known: (L, D) features of the annotated images.
        clusters: (N + L,) clusters of candidates and known images. weights: (N,) factors of typicality.
    """
    n = len(features)
    all_features = np.concatenate([features, known]) if len(known) else features
    weights = np.ones(n) if weights is None else weights
    sizes, covered = np.bincount(clusters), np.bincount(clusters[n:], minlength=int(clusters.max()) + 1)
    typicalities = np.zeros(len(all_features))
    for cluster in np.flatnonzero(sizes):
        members = np.flatnonzero(clusters == cluster)
        typicalities[members] = typicality(all_features[members])
    free = np.ones(n, dtype=bool)
    picks: list[Selection] = []
    while len(picks) < count and free.any():
        available = np.flatnonzero(np.bincount(clusters[:n][free], minlength=len(sizes)))
        cluster = min(available, key=lambda number: (covered[number], -sizes[number], number))
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
    """(N, D) features → (N,) clusters by k-means, at most `number` of them."""
    from sklearn.cluster import KMeans  # imported here because it takes seconds and only TypiClust needs it

    labels = KMeans(min(number, MOST_CLUSTERS, len(features)), n_init=1, random_state=seed).fit_predict(features)
    return np.asarray(labels, dtype=np.int64)
