"""Search for near-duplicate images: copies that were saved again, resized, slightly cropped or brightened.

    hash        64 bits of a grey 32 × 32 thumbnail (`thumbnails`)
    candidates  all pairs whose hashes differ in at most `MAX_HASH_DISTANCE` bits (`similar_hashes`), and signatures in
                at most `MAX_SIGNATURE_DISTANCE` (`candidates`)
    verified    pairs of similar colour whose thumbnails, normalised by local mean and contrast, have a correlation of
                at least `MIN_CORRELATION`; of many candidates, `sketches` leave out those that cannot have it
    second look the fine structure of the images themselves, which are read again for these pairs (`second_look`)

Copies that were rotated, mirrored, or cropped by more than about 1 % on each side are not found reliably.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from s4mi.data.candidates import Wanted, candidate_pairs
from s4mi.data.formats.intensity import Pixels
from s4mi.data.parallel import in_threads
from s4mi.data.similar_hashes import Pairs
from s4mi.data.sketches import sketches_of
from s4mi.data.thumbnails import Thumbnails, in_memory, normalised
from s4mi.formatting import plural

MIN_CORRELATION = 0.88
"""This and the thresholds of `candidates` let pass what the second look shall judge: nearly all copies, those cropped
by 1 % included, and few different images. Rates by modality are in docs/explanation/leakage.md."""
LOOKS = 1024
"""Pairs that take the second look at a time, in threads."""
NORMALISED_IMAGES = 16_384
"""Maximum number of normalised thumbnails kept in memory, at 11 KiB each; of more images, sketches are made first."""
ALWAYS_LOOKED_AT, LOOKED_AT_PER_IMAGE = 50_000, 2
"""Similar pairs that take the second look, however many there are: the most similar ones."""


@dataclass(frozen=True)
class DuplicatePair:
    """A pair of near-duplicates by index, the smaller one first; `similarity` is their correlation."""

    first: int
    second: int
    similarity: float


@dataclass(frozen=True)
class Judged:
    """A pair of similar thumbnails, and whether the second look found the same image."""

    pair: DuplicatePair
    same: bool


def near_duplicates(
    thumbnails: Thumbnails | NDArray[np.uint8],
    *,
    parts: Sequence[Hashable] | None = None,
    same: Callable[[int, int], bool] = lambda *_: True,
    limited: Callable[[str], None] = lambda _: None,
) -> list[DuplicatePair]:
    """Find all pairs of near-duplicates among images, in ascending order.

    Args:
        thumbnails: also as an (N, 32, 32, 3) array.
        parts: part of the split of each image, to search only for pairs across parts; None: all pairs.
        same: second look at a pair of similar thumbnails.
        limited: told what was left out, if there are too many pairs for all of them.
    """
    if not isinstance(thumbnails, Thumbnails):
        thumbnails = in_memory(thumbnails)
    wanted: Wanted | None = None
    if parts is not None:
        part_of = np.unique([str(part) for part in parts], return_inverse=True)[1]
        wanted = lambda first, second: part_of[first] != part_of[second]  # noqa: E731
    judged = judged_pairs(thumbnails, wanted=wanted, same=same, limited=limited)
    return sorted((one.pair for one in judged if one.same), key=lambda pair: (pair.first, pair.second))


def judged_pairs(
    thumbnails: Thumbnails,
    *,
    wanted: Wanted | None,
    same: Callable[[int, int], bool],
    limited: Callable[[str], None] = lambda _: None,
) -> Iterator[Judged]:
    """Yield all pairs of images with similar thumbnails, each with the verdict of the second look.

    Args:
        wanted: which pairs matter; None: all. same, limited: as in `near_duplicates`.
    """
    candidates = candidate_pairs(thumbnails, wanted, limited)
    images = np.unique(candidates)
    if len(images) > NORMALISED_IMAGES:
        sketches = sketches_of(thumbnails, images.tolist())
        candidates = candidates[sketches.may_correlate(candidates, MIN_CORRELATION)]
        sketches.release()
    similar = _similar(thumbnails, candidates)
    most = max(ALWAYS_LOOKED_AT, LOOKED_AT_PER_IMAGE * len(thumbnails))
    if len(similar) > most:
        limited(
            f"{plural(len(similar), 'pair')} of images look alike; only the {most} most similar were compared closely"
        )
        similar = sorted(sorted(similar, key=lambda pair: -pair.similarity)[:most], key=lambda pair: pair.first)
    for start in range(0, len(similar), LOOKS):
        some = similar[start : start + LOOKS]
        verdicts = in_threads(lambda n, some=some: same(some[n].first, some[n].second), len(some))  # type: ignore[misc]
        yield from (Judged(pair, verdict) for pair, verdict in zip(some, verdicts, strict=True))


def _similar(thumbnails: Thumbnails, candidates: Pairs) -> list[DuplicatePair]:
    """Return the candidates whose thumbnails correlate enough."""
    looks = lru_cache(NORMALISED_IMAGES)(lambda number: _look(thumbnails.pixels(number)))
    similar = []
    for start in range(0, len(candidates), LOOKS):
        some = candidates[start : start + LOOKS]
        # Candidates may grow with the square of the number of images: normalise once per image, not once per pair.
        numbers = np.unique(some).tolist()
        for _ in in_threads(lambda n, numbers=numbers: looks(numbers[n]), len(numbers)):  # type: ignore[misc]
            pass
        for first, second in some.tolist():
            similarity = _correlation(looks(first), looks(second))
            if similarity >= MIN_CORRELATION:
                similar.append(DuplicatePair(first, second, similarity))
    return similar


def correlation(one: Pixels, other: Pixels) -> float:
    """Correlation of two grey thumbnails after normalisation by local mean and contrast; 1 for identical images.

    The normalisation reduces the weight of what all images of a kind share, e.g. the bright disc of a fundus image.
    Images of a single colour have no structure to compare: 1 if the colour is the same, else 0.
    """
    return _correlation(_look(one), _look(other))


@dataclass(frozen=True, slots=True)
class _Look:
    """A thumbnail, and what is left of it after normalisation."""

    pixels: Pixels
    normalised: NDArray[np.float64]
    square: float


def _look(pixels: Pixels) -> _Look:
    vector = normalised(pixels)
    return _Look(pixels, vector, float(np.square(vector).sum()))


def _correlation(one: _Look, other: _Look) -> float:
    norm = float(np.sqrt(one.square * other.square))
    if norm < 1:
        return float(np.abs(one.pixels.astype(int) - other.pixels).max() <= 2)
    return float((one.normalised * other.normalised).sum() / norm)
