"""Search for near-duplicate images: copies that were saved again, resized, slightly cropped or brightened.

    hash        64 bits of a grey 32 × 32 thumbnail (`thumbnails`)
    candidates  all pairs whose hashes differ in at most `MAX_HASH_DISTANCE` bits (`similar_hashes`), and signatures in
                at most `MAX_SIGNATURE_DISTANCE`
    verified    pairs of similar colour whose thumbnails, normalised by local mean and contrast, have a correlation of
                at least `MIN_CORRELATION`
    second look the fine structure of the images themselves, which are read again for these pairs (`second_look`)

Copies that were rotated, mirrored, or cropped by more than about 1 % on each side are not found reliably.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.data.parallel import in_threads
from s4mi.data.similar_hashes import Pairs, similar_pairs
from s4mi.data.thumbnails import Thumbnails, in_memory, normalised

MAX_HASH_DISTANCE = 10
MIN_CORRELATION = 0.88
"""Both thresholds let pass what the second look shall judge: nearly all copies, those cropped by 1 % included, and few
different images. Rates by modality are in docs/explanation/leakage.md."""
LOOKS = 1024
"""Pairs that take the second look at a time, in threads."""
MAX_COLOUR_DIFFERENCE = 25
"""Greatest difference between the means of a channel, in grey levels."""
MAX_SIGNATURE_DISTANCE = 40
"""Of 128 bits. A pair of the least correlation differs in 20 ± 4, unrelated images in 64 ± 6."""
NORMALISED_IMAGES = 16_384
"""Maximum number of normalised thumbnails kept in memory, at 11 KiB each."""


@dataclass(frozen=True)
class DuplicatePair:
    """A pair of near-duplicates by index, the smaller one first; `similarity` is their correlation."""

    first: int
    second: int
    similarity: float


def near_duplicates(
    thumbnails: Thumbnails | NDArray[np.uint8],
    *,
    parts: Sequence[Hashable] | None = None,
    same: Callable[[int, int], bool] = lambda *_: True,
) -> list[DuplicatePair]:
    """Find all pairs of near-duplicates among images, in ascending order.

    Args:
        thumbnails: also as an (N, 32, 32, 3) array.
        parts: part of the split of each image, to search only for pairs across parts; None: all pairs.
        same: second look at a pair of similar thumbnails.
    """
    if not isinstance(thumbnails, Thumbnails):
        thumbnails = in_memory(thumbnails)
    looks = lru_cache(NORMALISED_IMAGES)(lambda number: _look(thumbnails.pixels(number)))
    duplicates: list[DuplicatePair] = []
    for candidates in _candidates(thumbnails, parts):
        # Candidates grow with the square of the number of images: normalise once per image, not once per pair.
        numbers = np.unique(candidates).tolist()
        for _ in in_threads(lambda n, numbers=numbers: looks(numbers[n]), len(numbers)):  # type: ignore[misc]
            pass
        similar = []
        for first, second in candidates.tolist():
            similarity = _correlation(looks(first), looks(second))
            if similarity >= MIN_CORRELATION:
                similar.append(DuplicatePair(first, second, similarity))
        verdicts = in_threads(lambda n, similar=similar: same(similar[n].first, similar[n].second), len(similar))  # type: ignore[misc]
        duplicates.extend([pair for pair, verdict in zip(similar, verdicts, strict=True) if verdict])
    return sorted(duplicates, key=lambda pair: (pair.first, pair.second))


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


def _candidates(thumbnails: Thumbnails, parts: Sequence[Hashable] | None) -> Iterator[Pairs]:
    """Yield pairs with similar hashes and colours, of different parts, `LOOKS` at a time.

    Saving and brightening explain the difference of mean colours; blurred fundus images differ by more.
    """
    part_of = None if parts is None else np.unique([str(part) for part in parts], return_inverse=True)[1]
    colours = thumbnails.colours
    waiting: list[Pairs] = []
    count = 0
    for pairs in similar_pairs(thumbnails.hashes, MAX_HASH_DISTANCE):
        first, second = pairs.T
        chosen = np.abs(colours[first] - colours[second]).max(axis=1, initial=0) <= MAX_COLOUR_DIFFERENCE
        if part_of is not None:
            chosen &= part_of[first] != part_of[second]
        chosen[chosen] = _alike(thumbnails.signatures, pairs[chosen])
        waiting.append(pairs[chosen])
        count += len(waiting[-1])
        if count >= LOOKS:
            together = np.concatenate(waiting)
            full = count - count % LOOKS
            yield from (together[start : start + LOOKS] for start in range(0, full, LOOKS))
            waiting, count = [together[full:]], count - full
    if count:
        yield np.concatenate(waiting)


def _alike(signatures: NDArray[np.uint8], pairs: Pairs) -> NDArray[np.bool_]:
    """Whether signatures differ in few bits, or one is of an image without structure, which the thumbnails decide."""
    one, other = signatures[pairs[:, 0]], signatures[pairs[:, 1]]
    few = np.bitwise_count(one ^ other).sum(axis=1) <= MAX_SIGNATURE_DISTANCE
    return np.asarray(few | ~one.any(axis=1) | ~other.any(axis=1))
