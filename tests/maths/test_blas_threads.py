"""Products are limited to one thread within the context, and only there."""

import numpy as np
import threadpoolctl

from s4mi.maths.blas_threads import one_blas_thread


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def test_the_limit_holds_within_the_context_and_ends_with_it() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_blas_thread():
            assert 1 in threads()
        assert threads() == before
