"""Memory allocator settings: keep freed memory in the process for the next step.

By default, glibc returns every block above 32 MiB to the system when it is freed. A U-Net at 224 pixels frees and
allocates dozens of such blocks per step, and the system clears every page of each: 180,000 page faults, a quarter of
the time (docs/decisions/0017).
"""

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`; in <malloc.h> their names start with M_."""
LARGEST_BLOCK = 2**30
"""Largest block to keep, in bytes."""
NEVER = 2**31 - 4096
SET_BY_HAND = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Environment variables with which users configure the allocator."""


def keep_freed_memory() -> bool:
    """Configure glibc to keep freed memory, for the rest of the process; return whether it does.

    Nothing happens with another C library, or if GLIBC_TUNABLES or MALLOC_… is set.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SET_BY_HAND):
        return False
    glibc = ctypes.CDLL(None)
    return bool(glibc.mallopt(_MMAP_THRESHOLD, LARGEST_BLOCK) and glibc.mallopt(_TRIM_THRESHOLD, NEVER))


def give_back_memory() -> None:
    """Return free memory to the system, e.g. between two runs in the same process."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
