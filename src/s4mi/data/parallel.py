"""Apply a function to many files on all cores: ordered results, progress, and immediate interruption."""

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import joblib
from joblib.externals.loky import get_reusable_executor

THREAD_LIMIT = 256
"""Up to this many items are processed in threads, which start at once. More are processed in processes (joblib's loky),
because much of decoding an image is Python code that holds the interpreter lock; a process takes a second to start and
about 150 MB."""
BATCH_SIZE = 32
"""Items sent to a process at a time."""
MAX_PENDING = 256
"""Items that wait for a thread, or results that wait to be consumed."""

S = TypeVar("S")
T = TypeVar("T")


def in_parallel(
    work: Callable[[S], T],
    items: Sequence[S],
    *,
    progress: Callable[[int, int], None] = lambda *_: None,
    thread_limit: int = THREAD_LIMIT,
    batch_size: int = BATCH_SIZE,
) -> Generator[T, None, None]:
    """Yield `work(item)` of every item in order, as soon as it is ready, with a bounded number of items in flight.

    Args:
        work: a module-level function, or a `partial` of one, so that it can be sent to processes.
        progress: called with the number of finished items and the total.
        thread_limit: use threads instead of processes for up to this many items.
        batch_size: items sent to a process at a time; 1 if an item takes seconds.
    """
    cores = joblib.cpu_count()
    if len(items) <= thread_limit:
        pool = joblib.Parallel(n_jobs=cores, backend="threading", return_as="generator")
    else:
        batch_size = max(1, min(batch_size, len(items) // cores))
        # Four batches a process, so that none waits while results are consumed: joblib counts items, not batches.
        pool = joblib.Parallel(
            n_jobs=cores, backend="loky", return_as="generator", batch_size=batch_size,
            pre_dispatch=4 * cores * batch_size,
        )  # fmt: skip
    results = pool(joblib.delayed(work)(item) for item in items)
    try:
        for done, result in enumerate(results, start=1):
            progress(done, len(items))
            yield result
    finally:
        with warnings.catch_warnings():  # joblib warns about unfinished work when the generator is closed early
            warnings.simplefilter("ignore")
            results.close()


def end_processes() -> None:
    """End the processes of `in_parallel`, which otherwise wait for more work with their memory, for five minutes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_reusable_executor(reuse=True).shutdown()


def in_threads(work: Callable[[int], T], count: int) -> Iterator[T]:
    """Yield `work(number)` of the numbers below `count` in order, in threads, e.g. to write to shared arrays."""
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        for number in range(count):
            pending.append(pool.submit(work, number))
            if len(pending) > MAX_PENDING:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
