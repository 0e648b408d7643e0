"""The order of training: which entries come when, and the next batch while one is used.

Everything here is a function of (seed, epoch, step) alone. A run that resumes at epoch 7 therefore sees what an
uninterrupted one sees there, and any process can name the images of any batch.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from s4mi.contract import Batch


class Draw(IntEnum):
    """What is drawn from a run's seed for its batches; each has numbers of its own."""

    ORDER = 2
    UNLABELLED_ORDER = 4


def epoch_order(entries: NDArray[np.int64], start: int, count: int, *, seed: int, draw: Draw) -> NDArray[np.int64]:
    """`count` entries from position `start` of an endless row of shuffles of all of them, one after the other."""
    n = len(entries)
    first, last = start // n, (start + count - 1) // n
    shuffles = [
        entries[np.random.default_rng([seed, draw, number + 1]).permutation(n)] for number in range(first, last + 1)
    ]
    return np.concatenate(shuffles)[start - first * n :][:count]


def seed_of(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def prefetch(steps: int, make: Callable[[int], Batch]) -> Iterator[Batch]:
    """`make(0)`, `make(1)`, … up to `steps`; while one is used, the next is made in a thread of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        coming = pool.submit(make, 0)
        for step in range(steps):
            batch = coming.result()
            if step + 1 < steps:
                coming = pool.submit(make, step + 1)
            yield batch
