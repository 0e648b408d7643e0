"""Query strategies: uncertainty of the predictions, times diversity or typicality of the images.

entropy, disagreement, both      rank of the uncertainty among the candidates, as a share; `both` is the mean rank
noised-entropy                   the same of a draw in proportion to a power of the entropy
k-centre, typicality             diversity in the feature space of an encoder
per-class, foreground            diversity of the predicted classes: in turns, or in proportion to the foreground
random                           random choice
entropy×k-centre and so on       uncertainty as weight of the diversity
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
from s4mi.maths.class_acquisition import by_foreground, in_turns, noised

Uncertainty = Literal["entropy", "noised-entropy", "disagreement", "both", "none"]
Diversity = Literal["k-centre", "typicality", "per-class", "foreground", "none"]
UNCERTAINTIES: tuple[Uncertainty, ...] = get_args(Uncertainty)
DIVERSITIES: tuple[Diversity, ...] = get_args(Diversity)
RANDOM = "random"
TIMES = "×"
OF_FEATURES: tuple[Diversity, ...] = ("k-centre", "typicality")
OF_CLASSES: tuple[Diversity, ...] = ("per-class", "foreground")


@dataclass(frozen=True)
class Strategy:
    """How to choose images; with neither uncertainty nor diversity, at random."""

    uncertainty: Uncertainty = "both"
    diversity: Diversity = "k-centre"

    @classmethod
    def parse(cls, text: str) -> "Strategy":
        """Parse `random`, `entropy`, `k-centre`, `entropy×k-centre` (also with `+` or `*`) and so on.

        Raises:
            S4miError: it is not a valid strategy.
        """
        words = [word.strip() for word in text.lower().replace("+", TIMES).replace("*", TIMES).split(TIMES)]
        known = (RANDOM, *UNCERTAINTIES[:-1], *DIVERSITIES[:-1])
        for word in words:
            if word not in known:
                raise S4miError(
                    f"strategy {text!r}: unknown term {word!r}{nearest(word, known)}; choose from {', '.join(known)}"
                )
        uncertainties = [name for name in UNCERTAINTIES[:-1] if name in words]
        diversities = [name for name in DIVERSITIES[:-1] if name in words]
        terms = len(uncertainties) + len(diversities) + (words == [RANDOM])
        if len(uncertainties) > 1 or len(diversities) > 1 or len(words) > terms:
            raise S4miError(
                f"strategy {text!r}: not a valid combination; use at most one uncertainty and one diversity, such as "
                f"entropy{TIMES}k-centre"
            )
        if "foreground" in words and uncertainties:
            raise S4miError(f"strategy {text!r}: foreground is a random choice, without any uncertainty; use it alone")
        return cls(uncertainties[0] if uncertainties else "none", diversities[0] if diversities else "none")

    def __str__(self) -> str:
        parts = [part for part in (self.uncertainty, self.diversity) if part != "none"]
        return TIMES.join(parts) or RANDOM

    @property
    def needs_predictions(self) -> bool:
        """Whether it depends on predictions for the candidates."""
        return self.uncertainty != "none" or self.diversity in OF_CLASSES

    @property
    def needs_features(self) -> bool:
        """Whether it depends on features of the candidates and the annotated images."""
        return self.diversity in OF_FEATURES


@dataclass(frozen=True)
class CandidatePool:
    """The features and uncertainties of the candidates, in the order of their ids.

    Attributes:
        groups: patient of each candidate, or None. features: (N, D). annotated_features: (L, D) of annotated images.
        entropy, disagreement: (N,), or None.
        shares: (N, K) predicted probability of each class, or share of the pixels of each foreground class; or None.
        segments: whether the predictions are masks.
    """

    groups: Sequence[str | None]
    features: NDArray[np.floating] | None = None
    annotated_features: NDArray[np.floating] | None = None
    entropy: NDArray[np.float64] | None = None
    disagreement: NDArray[np.float64] | None = None
    shares: NDArray[np.float64] | None = None
    segments: bool = False


def choose(pool: CandidatePool, strategy: Strategy, *, count: int, per_patient: int, seed: int) -> list[Selection]:
    """Choose up to `count` candidates to annotate, most valuable first.

    Args:
        per_patient: maximum number of images of one patient; 0: no limit.
        seed: random seed of k-means and of random choices; everything else is deterministic.
    """
    cap, n = GroupLimit(pool.groups, per_patient), len(pool.groups)
    generator = np.random.default_rng(seed)
    weights = weights_of(pool, strategy.uncertainty, generator)
    if strategy.diversity == "none":
        if weights is None:
            return at_random(n, count=count, cap=cap, generator=generator)
        return by_weight(weights, count=count, cap=cap)
    if strategy.diversity in OF_CLASSES:
        assert pool.shares is not None
        if strategy.diversity == "per-class":
            return in_turns(pool.shares, count=count, cap=cap, weights=weights)
        if not pool.segments:
            raise S4miError("strategy 'foreground': the predictions are classes, which have none; use per-class")
        return by_foreground(pool.shares.sum(axis=1), count=count, cap=cap, generator=generator)
    assert pool.features is not None
    features = directions(pool.features)
    known = pool.annotated_features
    annotated = directions(known) if known is not None and len(known) else features[:0]
    if strategy.diversity == "k-centre":
        return k_centre(features, annotated, count=count, cap=cap, weights=weights)
    clusters = clusters_of(np.concatenate([features, annotated]), len(annotated) + count, seed=seed)
    return typical(features, annotated, clusters=clusters, count=count, cap=cap, weights=weights)


def weights_of(
    pool: CandidatePool, uncertainty: Uncertainty, generator: np.random.Generator
) -> NDArray[np.float64] | None:
    """Weights (N,) in (0, 1] by uncertainty, or None if it does not count; noise is drawn from the generator."""
    if uncertainty == "noised-entropy" and pool.entropy is not None:
        return ranks(noised(pool.entropy, generator=generator))
    columns = {"entropy": [pool.entropy], "disagreement": [pool.disagreement], "none": []}.get(
        uncertainty, [pool.entropy, pool.disagreement]
    )
    available = [ranks(column) for column in columns if column is not None]
    return np.mean(available, axis=0) if available else None
