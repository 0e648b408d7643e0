"""How fast this machine trains small networks now, measured for half a second.

    steps of a small convolution, forward and backward, in as many threads as runs are to be trained at once

A quota, other programs and slow cores all count, as they will for the runs.
"""

import time
from concurrent.futures import ThreadPoolExecutor

SECONDS = 0.5
REFERENCE = 100.0
"""Steps a second of one core of the machine that `docs/benchmarks.md` was written on."""


def cores_worth(threads: int, *, seconds: float = SECONDS) -> float:
    """Throughput of `threads` threads together, in cores of the reference machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _steps(0.0)  # the first step of a process is slow
        with ThreadPoolExecutor(threads) as pool:
            rates = list(pool.map(_steps, [seconds] * threads))
    finally:
        torch.set_num_threads(before)
    return sum(rates) / REFERENCE


def _steps(seconds: float) -> float:
    """Steps a second; at least one is made."""
    import torch

    weights = torch.full((32, 32, 3, 3), 0.01, requires_grad=True)
    images = torch.ones(16, 32, 32, 32)
    start, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - start < seconds:
        torch.nn.functional.conv2d(images, weights, padding=1).relu().sum().backward()  # type: ignore[no-untyped-call]
        count += 1
    return count / (time.perf_counter() - start)
