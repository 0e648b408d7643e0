"""Find all pairs of 64-bit hashes that differ in few bits, without comparing all pairs (Norouzi, Punjani, Fleet 2012).

    hash   = m blocks of about 64 / m bits;   r_1 + … + r_m = r - m + 1
    H(a, b) ≤ r  ⇒  in one block i, a and b differ in at most r_i bits

So hashes are sorted by each block, and only those are compared whose blocks differ in at most r_i bits. Of hashes that
are spread evenly, m = 3 or 4 leaves some thousandths of the pairs or less. Where hashes are few, or so alike that the
blocks distinguish little, all pairs are compared, which is faster then; a sample says which.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import joblib
import numpy as np
from numpy.typing import NDArray

from s4mi.data.parallel import in_threads

BITS = 64
COMPARISON_BYTES = 16 << 20
"""Memory limit for comparing all pairs; larger blocks are slower because they exceed the processor's cache."""
PAIRS_AT_A_TIME = 1 << 20
"""Largest number of pairs that are made from blocks at a time."""
SAMPLE = 256
"""Number of hashes by which the number of pairs is estimated."""
COMPARED, LOOKED_UP, JOINED = 3.5, 8.0, 25.0
"""Nanoseconds of one pair when all are compared, of a look-up of one hash, and of a pair found by a block: measured."""
MASKS_AT_A_TIME = 16
BLOCKS = (3, 4)
"""Numbers of blocks that are weighed against each other."""

Pairs = NDArray[np.int64]
"""(P, 2) numbers of hashes, the smaller first."""


@dataclass(frozen=True)
class _Block:
    """Some bits of all hashes: the values, sorted, and where each value begins.

    Attributes:
        bits: of the hash. radius: in how many of them two hashes may differ here.
        order: (N,) numbers of the hashes in the order of their values. values: (N,) sorted. starts: (2^width + 1,)
            where each value begins. occurs: (2^width,) whether it does; small enough for the processor's cache.
        without: for each bit, positions in `values` of those that do not have it.
    """

    bits: np.uint64
    width: int
    radius: int
    order: NDArray[np.int32]
    values: NDArray[np.int32]
    starts: NDArray[np.int32]
    occurs: NDArray[np.bool_]
    without: tuple[NDArray[np.int32], ...]


def similar_pairs(hashes: NDArray[np.uint64], most: int) -> Iterator[Pairs]:
    """Yield every pair of (N,) hashes that differ in at most `most` bits, in portions of no particular order."""
    cost, count = _cheapest(hashes, most)
    if cost < COMPARED * len(hashes) ** 2 / 2:
        yield from _by_blocks(hashes, most, _layout(count, most))
    else:
        yield from _all_pairs(hashes, most)


def search_cost(hashes: NDArray[np.uint64], most: int) -> float:
    """Nanoseconds that `similar_pairs` takes, estimated by a sample."""
    return min(_cheapest(hashes, most)[0], COMPARED * len(hashes) ** 2 / 2)


def _cheapest(hashes: NDArray[np.uint64], most: int) -> tuple[float, int]:
    """Return the cost of a search by blocks, and the number of blocks that makes it cheapest."""
    if not len(hashes):
        return math.inf, 0
    return min((_cost(hashes, _layout(count, most)), count) for count in BLOCKS)


def _layout(count: int, most: int) -> list[tuple[int, int, int]]:
    """Return shift, width and radius of each of `count` blocks; the widest have the smallest radius.

    Where `most` is so small that a radius would be below zero, fewer blocks than all suffice, and all are searched.
    """
    edges = [BITS * n // count for n in range(count + 1)]
    total = max(0, most - count + 1)
    radii = [total // count + (n < total % count) for n in range(count)]
    return [(edges[n], edges[n + 1] - edges[n], radii[n]) for n in range(count)]


def _cost(hashes: NDArray[np.uint64], layout: list[tuple[int, int, int]]) -> float:
    """Nanoseconds that a search by blocks takes, estimated by a sample."""
    sample = hashes[np.unique(np.linspace(0, len(hashes) - 1, SAMPLE).astype(np.int64))]
    others = hashes[:: max(1, len(hashes) // 10_000)]
    cost = 0.0
    for shift, width, radius in layout:
        bits = np.uint64(((1 << width) - 1) << shift)
        near = np.bitwise_count((sample[:, None] ^ others[None]) & bits) <= radius
        masks = sum(math.comb(width, n) for n in range(radius + 1))
        cost += masks * len(hashes) / 2 * LOOKED_UP + float(near.mean()) * len(hashes) ** 2 / 2 * JOINED
        cost += 2.0**width
    return cost


def _by_blocks(hashes: NDArray[np.uint64], most: int, layout: list[tuple[int, int, int]]) -> Iterator[Pairs]:
    blocks = [_block(hashes, *one) for one in layout]
    for number, block in enumerate(blocks):
        masks = [
            sum(1 << bit for bit in chosen)
            for size in range(block.radius + 1)
            for chosen in combinations(range(block.width), size)
        ]
        pieces = [masks[start : start + MASKS_AT_A_TIME] for start in range(0, len(masks), MASKS_AT_A_TIME)]

        def search(piece: int, block: _Block = block, number: int = number, pieces: list[list[int]] = pieces) -> Pairs:
            found = [
                pairs for mask in pieces[piece] for pairs in _joined(block, mask, hashes, most, earlier=blocks[:number])
            ]
            return np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)

        yield from in_threads(search, len(pieces))


def _block(hashes: NDArray[np.uint64], shift: int, width: int, radius: int) -> _Block:
    values = ((hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int32)
    order = np.argsort(values, kind="stable").astype(np.int32)
    counts = np.bincount(values, minlength=1 << width)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    values = values[order]
    without = tuple(np.flatnonzero(values & (1 << bit) == 0).astype(np.int32) for bit in range(width))
    bits = np.uint64(((1 << width) - 1) << shift)
    return _Block(bits, width, radius, order, values, starts, counts > 0, without)


def _joined(
    block: _Block, mask: int, hashes: NDArray[np.uint64], most: int, *, earlier: list[_Block]
) -> Iterator[Pairs]:
    """Yield the pairs whose values in a block differ by `mask`, unless an earlier block finds them too."""
    if mask:
        positions = block.without[mask.bit_length() - 1]  # each pair of values once
        partner = block.values[positions] ^ np.int32(mask)
        some = np.flatnonzero(block.occurs[partner])
        positions, partner = positions[some], partner[some]
        begin, end = block.starts[partner], block.starts[partner + 1]
    else:
        positions = np.arange(len(block.values), dtype=np.int32)
        begin, end = positions + 1, block.starts[block.values + 1]
        some = np.flatnonzero(end > begin)
        positions, begin, end = positions[some], begin[some], end[some]
    count = (end - begin).astype(np.int64)
    total = np.cumsum(count)
    start = 0
    while start < len(positions):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + PAIRS_AT_A_TIME, side="right")))
        part = slice(start, stop)
        inner = np.arange(total[stop - 1] - before) - np.repeat(total[part] - count[part] - before, count[part])
        one = block.order[np.repeat(positions[part], count[part])]
        other = block.order[np.repeat(begin[part], count[part]) + inner]
        difference = hashes[one] ^ hashes[other]
        close = np.flatnonzero(np.bitwise_count(difference) <= most)
        one, other, difference = one[close], other[close], difference[close]
        fresh = np.ones(len(one), dtype=np.bool_)
        for known in earlier:
            fresh &= np.bitwise_count(difference & known.bits) > known.radius
        pairs = np.column_stack([one[fresh], other[fresh]]).astype(np.int64)
        pairs.sort(axis=1)
        if len(pairs):
            yield pairs
        start = stop


def _all_pairs(hashes: NDArray[np.uint64], most: int) -> Iterator[Pairs]:
    """Compare all pairs in blocks of rows, in threads."""
    block = max(1, COMPARISON_BYTES // (9 * max(1, len(hashes)) * joblib.cpu_count()))
    starts = range(0, len(hashes), block)

    def compare(number: int) -> Pairs:
        start = starts[number]
        similar = np.bitwise_count(hashes[start : start + block, None] ^ hashes[None, start:]) <= most
        return np.argwhere(np.triu(similar, 1)) + start

    yield from in_threads(compare, len(starts))
