"""Epoch order, seeds of batches, and prefetching.

Everything is a function of (seed, epoch, step) alone. A run resumed at epoch 7 therefore sees the same batches as an
uninterrupted one, and every process knows the images of every batch.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from s4mi.contract import Batch


class RandomStream(IntEnum):
    """Independent random streams derived from the seed of a run."""

    ORDER = 2
    UNLABELLED_ORDER = 4


def epoch_order(
    entries: NDArray[np.int64], start: int, count: int, *, seed: int, stream: RandomStream
) -> NDArray[np.int64]:
    """Return `count` entries from position `start` of an endless concatenation of shuffles of all entries."""
    n = len(entries)
    first, last = start // n, (start + count - 1) // n
    shuffles = [
        entries[np.random.default_rng([seed, stream, number + 1]).permutation(n)] for number in range(first, last + 1)
    ]
    return np.concatenate(shuffles)[start - first * n :][:count]


def seed_of(*numbers: int) -> int:
    """Derive a 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def prefetch(steps: int, load: Callable[[int], Batch]) -> Iterator[Batch]:
    """Yield `load(0)` to `load(steps - 1)`, each computed in a thread while the previous one is in use."""
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        upcoming = pool.submit(load, 0)
        for step in range(steps):
            batch = upcoming.result()
            if step + 1 < steps:
                upcoming = pool.submit(load, step + 1)
            yield batch
