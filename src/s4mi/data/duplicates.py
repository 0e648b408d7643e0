"""Search for near-duplicate images: copies that were saved again, resized, slightly cropped or brightened.

    hash        64 signs of the low frequencies of the cosine transform of a grey 32 × 32 thumbnail (pHash, Zauner 2010)
    candidates  pairs whose hashes differ in at most `MAX_HASH_DISTANCE` bits; all pairs are compared
    verified    pairs of similar colour whose thumbnails, normalised by local mean and contrast, have a correlation of
                at least `MIN_CORRELATION`
    second look the fine structure of the images themselves, which are read again for these pairs (`second_look`)

Copies that were rotated, mirrored, or cropped by more than about 1 % on each side are not found reliably.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import joblib
import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from s4mi.data.formats.intensity import Pixels
from s4mi.data.parallel import in_threads

THUMBNAIL_SIZE = 32
"""Side of a thumbnail in pixels."""
MAX_HASH_DISTANCE = 10
MIN_CORRELATION = 0.88
"""Both thresholds let pass what the second look shall judge: nearly all copies, those cropped by 1 % included, and few
different images. Rates by modality are in docs/explanation/leakage.md."""
LOOKS = 1024
"""Pairs that take the second look at a time, in threads."""
MAX_COLOUR_DIFFERENCE = 25
"""Greatest difference between the means of a channel, in grey levels."""
LOCAL_SIGMA = 3.0
"""Sigma of the Gaussian neighbourhood for local mean and contrast, in pixels of a thumbnail."""
LUMA = np.array([0.299, 0.587, 0.114])
HASH_BLOCK = 1024
"""Number of thumbnails hashed at a time."""
COMPARISON_BYTES = 16 << 20
"""Memory limit for comparing hashes; larger blocks are slower because they exceed the processor's cache."""
NORMALISED_IMAGES = 16_384
"""Maximum number of normalised thumbnails kept in memory, at 8 KiB each."""


@dataclass(frozen=True)
class DuplicatePair:
    """A pair of near-duplicates by index, the smaller one first; `similarity` is their correlation."""

    first: int
    second: int
    similarity: float


def thumbnail(pixels: Pixels) -> Pixels:
    """Downscale (H, W, 3) to (32, 32, 3) by area averaging."""
    size = (THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def near_duplicates(
    thumbnails: NDArray[np.uint8],
    *,
    parts: Sequence[Hashable] | None = None,
    same: Callable[[int, int], bool] = lambda *_: True,
) -> list[DuplicatePair]:
    """Find all pairs of near-duplicates among (N, 32, 32, 3) thumbnails.

    Args:
        parts: part of the split of each image, to search only for pairs across parts; None: all pairs.
        same: second look at a pair of similar thumbnails.
    """
    hashes = _hashes(thumbnails)
    part_of = None if parts is None else np.unique([str(part) for part in parts], return_inverse=True)[1]
    colours = thumbnails.mean(axis=(1, 2))
    # Candidates grow with the square of the number of images: normalise once per image, not once per pair.
    normalised = lru_cache(NORMALISED_IMAGES)(lambda index: _normalise(thumbnails[index]))
    duplicates: list[DuplicatePair] = []
    waiting: list[DuplicatePair] = []

    def judge() -> None:
        verdicts = in_threads(lambda n: same(waiting[n].first, waiting[n].second), len(waiting))
        duplicates.extend([pair for pair, verdict in zip(waiting, verdicts, strict=True) if verdict])
        waiting.clear()

    for first, second in _candidates(hashes, part_of):
        if not _similar_colour(colours[first], colours[second]):
            continue
        similarity = _correlation(thumbnails[first], thumbnails[second], normalised(first), normalised(second))
        if similarity >= MIN_CORRELATION:
            waiting.append(DuplicatePair(first, second, similarity))
        if len(waiting) == LOOKS:
            judge()
    judge()
    return duplicates


def correlation(one: Pixels, other: Pixels) -> float:
    """Correlation of two grey thumbnails after normalisation by local mean and contrast; 1 for identical images.

    The normalisation reduces the weight of what all images of a kind share, e.g. the bright disc of a fundus image.
    Images of a single colour have no structure to compare: 1 if the colour is the same, else 0.
    """
    return _correlation(one, other, _normalise(one), _normalise(other))


def _correlation(one: Pixels, other: Pixels, a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    norm = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    if norm < 1:
        return float(np.abs(one.astype(int) - other).max() <= 2)
    return float((a * b).sum() / norm)


def _similar_colour(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Whether saving and brightening explain the difference of mean colours; blurred fundus images differ by more."""
    return bool(np.abs(one - other).max() <= MAX_COLOUR_DIFFERENCE)


def _normalise(image: Pixels) -> NDArray[np.float64]:
    grey = image @ LUMA
    difference = grey - cv2.GaussianBlur(grey, (0, 0), LOCAL_SIGMA)
    # 4 is the variance of noise of two grey levels, so that noise on uniform skin is not amplified to a pattern.
    contrast = np.sqrt(cv2.GaussianBlur(np.square(difference), (0, 0), LOCAL_SIGMA) + 4)
    return np.asarray((difference - difference.mean()) / contrast, dtype=np.float64)


def _hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return (N,) hashes of 64 bits: whether each low frequency, except the mean, is above their median."""
    hashes = np.zeros(len(thumbnails), dtype=np.uint64)
    for start in range(0, len(thumbnails), HASH_BLOCK):
        grey = thumbnails[start : start + HASH_BLOCK] @ LUMA
        low = dctn(grey, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(grey), 64)
        low[:, 0] = 0
        signs = low > np.median(low[:, 1:], axis=1, keepdims=True)
        hashes[start : start + HASH_BLOCK] = np.packbits(signs, axis=1).view(np.uint64)[:, 0]
    return hashes


def _candidates(hashes: NDArray[np.uint64], part_of: NDArray[np.intp] | None) -> Iterator[tuple[int, int]]:
    """Yield pairs with similar hashes in ascending order, comparing all pairs in blocks of rows in threads."""
    block = max(1, COMPARISON_BYTES // (9 * max(1, len(hashes)) * joblib.cpu_count()))
    starts = range(0, len(hashes), block)

    def compare_block(number: int) -> NDArray[np.intp]:
        start = starts[number]
        rows, columns = hashes[start : start + block, None], hashes[None, start:]
        similar = np.bitwise_count(rows ^ columns) <= MAX_HASH_DISTANCE
        if part_of is not None:
            similar &= part_of[start : start + block, None] != part_of[None, start:]
        return np.argwhere(np.triu(similar, 1)) + start

    for pairs in in_threads(compare_block, len(starts)):
        yield from ((int(first), int(second)) for first, second in pairs)
