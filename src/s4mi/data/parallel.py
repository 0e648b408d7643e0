"""Do one thing to many files on every core: results in order, progress told, stopped at once by an interruption."""

import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import joblib

FEW = 256
"""Up to so many items go through threads, which start at once. More go through processes (joblib's loky), because much
of opening a picture is Python and holds the interpreter; a process takes a second to start and about 150 MB."""
AT_ONCE = 32
"""Items that a process is handed at a time."""
WAITING = 256
"""Items that wait for a thread, or to be asked for."""

S = TypeVar("S")
T = TypeVar("T")


def in_parallel(
    work: Callable[[S], T],
    items: Sequence[S],
    *,
    say: Callable[[int, int], None] = lambda *_: None,
    few: int = FEW,
    at_once: int = AT_ONCE,
) -> Generator[T, None, None]:
    """`work` of every item, in order, each yielded when it is ready; only a bounded number are under way at a time.

    Args:
        work: a function of a module, or a `partial` of one, so that processes can be sent it.
        say: told how many items are done, and of how many.
        few: up to so many items no process is started.
        at_once: items that a process is handed at a time; 1 where an item takes seconds.
    """
    cores = joblib.cpu_count()
    if len(items) <= few:
        pool = joblib.Parallel(n_jobs=cores, backend="threading", return_as="generator")
    else:
        at_once = max(1, min(at_once, len(items) // cores))
        pool = joblib.Parallel(n_jobs=cores, backend="loky", return_as="generator", batch_size=at_once)
    results = pool(joblib.delayed(work)(item) for item in items)
    try:
        for number, result in enumerate(results, start=1):
            say(number, len(items))
            yield result
    finally:
        with warnings.catch_warnings():  # joblib regrets work that was begun and is not wanted any more
            warnings.simplefilter("ignore")
            results.close()


def in_threads(work: Callable[[int], T], count: int) -> Iterator[T]:
    """`work` of the numbers below `count`, in order, in threads: for work that writes into shared arrays."""
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(joblib.cpu_count()) as pool:
        for number in range(count):
            waiting.append(pool.submit(work, number))
            if len(waiting) > WAITING:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
