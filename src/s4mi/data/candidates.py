"""Pairs of images that may be near-duplicates, by what is stored of each: hash, mean colour and signature.

Where images look so alike that most pairs would be candidates, the allowed distances are reduced, so that the number of
pairs grows with that of the images, not with its square: copies differ in fewer bits than look-alikes. `LEVELS` are the
distances of hashes and signatures; signatures of drawn copies that were saved again, resized or brightened differ in at
most 6 bits, and of those cropped by 1 % in at most 18. Images with the same hash and signature that are too many even
then are compared with the next `NEIGHBOURS` in the order of their colours.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from s4mi.data.similar_hashes import Pairs, search_cost, similar_pairs
from s4mi.data.thumbnails import Thumbnails
from s4mi.formatting import plural

MAX_COLOUR_DIFFERENCE = 25
"""Greatest difference between the means of a channel, in grey levels, which saving and brightening explain; blurred
fundus images differ by more."""
MAX_HASH_DISTANCE = 10
MAX_SIGNATURE_DISTANCE = 40
"""Of 128 bits. A pair of the least correlation differs in 20 ± 4, unrelated images in 64 ± 6."""
LEVELS = ((MAX_HASH_DISTANCE, MAX_SIGNATURE_DISTANCE), (10, 24), (8, 16), (6, 12), (4, 8), (2, 4), (0, 0))
"""Allowed distances of hash and signature, from all candidates to the fewest."""
ALWAYS_COMPARED, COMPARED_PER_IMAGE = 4_000_000, 64
"""Candidates that are compared, however many there are."""
SEARCHED, SEARCHED_PER_IMAGE = 60e9, 200_000.0
"""Nanoseconds that the search of hashes may take: at least, and per image and doubling of their number above 1,000."""
NEIGHBOURS = 16
SAMPLED, OTHERS = 512, 20_000
"""Images by which the number of candidates is estimated, and those that they are compared with."""

Wanted = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]
"""Tells which pairs of (P,) first and (P,) second images matter."""


def candidate_pairs(thumbnails: Thumbnails, wanted: Wanted | None, limited: Callable[[str], None]) -> Pairs:
    """Return the (P, 2) pairs that may be near-duplicates, in ascending order.

    Args:
        wanted: which pairs matter; None: all.
        limited: told what was left out, if there are too many candidates.
    """
    found: list[Pairs] = []
    level = _level(thumbnails)
    if level is None:
        limited(
            f"of {plural(len(thumbnails), 'image')} so many look the same that each was compared only with the "
            f"{NEIGHBOURS} of the most similar colour; near-duplicates may be missing"
        )
        source, most = _neighbours(thumbnails), 0
    else:
        distance, most = level
        source = similar_pairs(thumbnails.hashes, distance)
        if level != LEVELS[0]:
            limited(
                f"of {plural(len(thumbnails), 'image')} so many look alike that only pairs with signatures within "
                f"{most} of 128 bits (else {MAX_SIGNATURE_DISTANCE}) were compared; copies that were changed more may "
                "be missing"
            )
    colours = thumbnails.colours
    for pairs in source:
        first, second = pairs.T
        chosen = np.abs(colours[first] - colours[second]).max(axis=1, initial=0) <= MAX_COLOUR_DIFFERENCE
        if wanted is not None:
            chosen[chosen] = wanted(first[chosen], second[chosen])
        chosen[chosen] = alike(thumbnails.signatures, pairs[chosen], most)
        found.append(pairs[chosen])
    together = np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)
    return together[np.lexsort((together[:, 1], together[:, 0]))]


def alike(signatures: NDArray[np.uint8], pairs: Pairs, most: int = MAX_SIGNATURE_DISTANCE) -> NDArray[np.bool_]:
    """Whether signatures differ in few bits, or one is of an image without structure, which the thumbnails decide."""
    one, other = signatures[pairs[:, 0]], signatures[pairs[:, 1]]
    few = np.bitwise_count(one ^ other).sum(axis=1) <= most
    return np.asarray(few | ~one.any(axis=1) | ~other.any(axis=1))


def _level(thumbnails: Thumbnails) -> tuple[int, int] | None:
    """Return the greatest distances with which there are not too many pairs; None if there are at any."""
    count = len(thumbnails)
    pairs = count * (count - 1) / 2
    if pairs <= ALWAYS_COMPARED:
        return LEVELS[0]
    most = max(ALWAYS_COMPARED, COMPARED_PER_IMAGE * count)
    longest = max(SEARCHED, SEARCHED_PER_IMAGE * count * math.log2(max(2.0, count / 1000)))
    counts = _counted(thumbnails)
    for level, share in zip(LEVELS, counts, strict=True):
        if share * pairs <= most and search_cost(thumbnails.hashes, level[0]) <= longest:
            return level
    return None


def _counted(thumbnails: Thumbnails) -> list[float]:
    """Estimate the share of all pairs that are candidates at each level by a sample."""
    count = len(thumbnails)
    sample = np.unique(np.linspace(0, count - 1, SAMPLED).astype(np.int64))
    others = np.unique(np.linspace(0, count - 1, OTHERS).astype(np.int64))
    met, total = np.zeros(len(LEVELS)), 0
    for n in sample.tolist():
        rest = others[others != n]
        total += len(rest)
        distance = np.bitwise_count(thumbnails.hashes[rest] ^ thumbnails.hashes[n])
        close = np.flatnonzero(distance <= MAX_HASH_DISTANCE)
        near = np.abs(thumbnails.colours[rest[close]] - thumbnails.colours[n]).max(axis=1, initial=0)
        close = close[near <= MAX_COLOUR_DIFFERENCE]
        pairs = np.column_stack([np.full(len(close), n), rest[close]])
        for number, (most, bits) in enumerate(LEVELS):
            met[number] += int((alike(thumbnails.signatures, pairs, bits) & (distance[close] <= most)).sum())
    return [float(one) / max(1, total) for one in met]


def _neighbours(thumbnails: Thumbnails) -> Iterator[Pairs]:
    """Yield the pairs of the same hash and signature that are near each other in the order of their colours."""
    signatures = np.ascontiguousarray(thumbnails.signatures).view("<u8")
    grey = thumbnails.colours.sum(axis=1)
    order = np.lexsort((grey, signatures[:, 1], signatures[:, 0], thumbnails.hashes))
    for step in range(1, NEIGHBOURS + 1):
        one, other = order[:-step], order[step:]
        same = (thumbnails.hashes[one] == thumbnails.hashes[other]) & (signatures[one] == signatures[other]).all(axis=1)
        pairs = np.column_stack([one[same], other[same]]).astype(np.int64)
        pairs.sort(axis=1)
        yield pairs
