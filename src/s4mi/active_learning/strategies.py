"""A strategy for what to annotate next: how unsure a run is, times how unlike or typical an image is.

entropy, disagreement, both      the rank of what they say among the candidates, as a share; `both` is the mean rank
k-centre, typicality             in the features of an encoder
random                           any image
entropy×k-centre and so on       uncertainty as a weight of diversity
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError, nearest
from s4mi.maths.acquisition import (
    GroupLimit,
    Selection,
    at_random,
    by_weight,
    clusters_of,
    directions,
    k_centre,
    ranks,
    typical,
)

Uncertainty = Literal["entropy", "disagreement", "both", "none"]
Diversity = Literal["k-centre", "typicality", "none"]
UNCERTAINTIES: tuple[Uncertainty, ...] = get_args(Uncertainty)
DIVERSITIES: tuple[Diversity, ...] = get_args(Diversity)
RANDOM = "random"
TIMES = "×"


@dataclass(frozen=True)
class Strategy:
    """How to choose; with neither, any image."""

    uncertainty: Uncertainty = "both"
    diversity: Diversity = "k-centre"

    @classmethod
    def parse(cls, text: str) -> "Strategy":
        """`random`, `entropy`, `k-centre`, `entropy×k-centre` (also with `+` or `*`) and so on.

        Raises:
            S4miError: it is none of these.
        """
        words = [word.strip() for word in text.lower().replace("+", TIMES).replace("*", TIMES).split(TIMES)]
        known = (RANDOM, *UNCERTAINTIES[:-1], *DIVERSITIES[:-1])
        for word in words:
            if word not in known:
                raise S4miError(f"strategy {text!r}: {word!r} is none of {', '.join(known)}{nearest(word, known)}")
        unsure = [one for one in UNCERTAINTIES[:-1] if one in words]
        spread = [one for one in DIVERSITIES[:-1] if one in words]
        if len(unsure) > 1 or len(spread) > 1 or len(words) > len(unsure) + len(spread) + (words == [RANDOM]):
            raise S4miError(
                f"strategy {text!r}: takes one uncertainty and one diversity, such as entropy{TIMES}k-centre"
            )
        return cls(unsure[0] if unsure else "none", spread[0] if spread else "none")

    def __str__(self) -> str:
        parts = [part for part in (self.uncertainty, self.diversity) if part != "none"]
        return TIMES.join(parts) or RANDOM

    @property
    def wants_answers(self) -> bool:
        """Whether a run must answer the candidates first."""
        return self.uncertainty != "none"

    @property
    def wants_features(self) -> bool:
        """Whether an encoder must see the candidates and what is annotated."""
        return self.diversity != "none"


@dataclass(frozen=True)
class CandidatePool:
    """The candidates, in the order of their ids, and what is known of them.

    Attributes:
        groups: patient of each, or None. features: (N, D). known: (L, D), of images that are annotated already.
        entropy, disagreement: (N,), or None.
    """

    groups: Sequence[str | None]
    features: NDArray[np.floating] | None = None
    known: NDArray[np.floating] | None = None
    entropy: NDArray[np.float64] | None = None
    disagreement: NDArray[np.float64] | None = None


def choose(pool: CandidatePool, strategy: Strategy, *, count: int, per_patient: int, seed: int) -> list[Selection]:
    """The candidates to annotate, the first the most worth it; fewer where there are fewer, or patients are full.

    Args:
        per_patient: at most so many of a patient; 0: any number.
        seed: of k-means, and of a choice at random; nothing else is drawn.
    """
    cap, n = GroupLimit(pool.groups, per_patient), len(pool.groups)
    weights = weights_of(pool, strategy.uncertainty)
    if strategy.diversity == "none":
        if weights is None:
            return at_random(n, count=count, cap=cap, generator=np.random.default_rng(seed))
        return by_weight(weights, count=count, cap=cap)
    assert pool.features is not None
    features = directions(pool.features)
    known = directions(pool.known) if pool.known is not None and len(pool.known) else features[:0]
    if strategy.diversity == "k-centre":
        return k_centre(features, known, count=count, cap=cap, weights=weights)
    clusters = clusters_of(np.concatenate([features, known]), len(known) + count, seed=seed)
    return typical(features, known, clusters=clusters, count=count, cap=cap, weights=weights)


def weights_of(pool: CandidatePool, uncertainty: Uncertainty) -> NDArray[np.float64] | None:
    """(N,) in (0, 1], or None where uncertainty does not count."""
    parts = {"entropy": [pool.entropy], "disagreement": [pool.disagreement], "none": []}.get(
        uncertainty, [pool.entropy, pool.disagreement]
    )
    given = [ranks(part) for part in parts if part is not None]
    return np.mean(given, axis=0) if given else None
