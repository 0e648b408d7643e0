"""Products of small matrices in one thread: two gain little on idle cores, and on busy ones wait for each other.

A sum by one thread also does not depend on the number of threads that a process has.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


def one_blas_thread() -> AbstractContextManager[Any]:
    """Limit NumPy's products to one thread within the context."""
    limit: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limit


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController  # looks through the libraries of the process, once

    return ThreadpoolController()
