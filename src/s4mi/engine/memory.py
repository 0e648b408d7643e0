"""Memory that was freed is kept for the next step, instead of given back and fetched anew page by page.

glibc hands every block above 32 MiB back to the system at once. A U-Net at 224 pixels frees and asks for dozens of such
blocks in each step, and the system clears every page of each: 180,000 page faults, a quarter of the time
(docs/decisions/0017).
"""

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Their names in glibc's <malloc.h>, without M_."""
LARGEST_BLOCK = 2**30
"""Bytes of a block that is still kept."""
NEVER = 2**31 - 4096
SET_BY_HAND = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Environment variables."""


def keep_freed_memory() -> bool:
    """Ask glibc for it, for the rest of the process; False where there is another C library.

    Somebody who has set GLIBC_TUNABLES or MALLOC_… knows better, and is left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in SET_BY_HAND):
        return False
    glibc = ctypes.CDLL(None)
    return bool(glibc.mallopt(_MMAP_THRESHOLD, LARGEST_BLOCK) and glibc.mallopt(_TRIM_THRESHOLD, NEVER))


def give_back_memory() -> None:
    """Give back what is free now: after a run, in a process that goes on to another."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
