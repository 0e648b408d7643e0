"""Error handling of a run in several processes: they end together, and one of them reports why.

An error that occurs in all processes, such as an invalid setting, is reported by the first. A process that fails alone
reports its own error and ends; the others notice when their communication with it fails.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributed import DistError

from s4mi.engine.fabric import Fabric
from s4mi.errors import S4miError

POLL_SECONDS = 0.2
"""Interval at which the other processes check whether the first is still alive."""
PATIENCE = 30.0
"""Seconds for which another process waits for the first to report the same error."""


@contextmanager
def raise_on_all_ranks(fabric: Fabric) -> Iterator[None]:
    """Run the body as one of the processes of `fabric`, and end all of them when one fails.

    Raises:
        S4miError: an error of this process, or another process has ended.
    """
    if fabric.world_size == 1:
        yield
        return
    first = fabric.global_rank == 0
    if fabric.local_rank:
        threading.Thread(target=_exit_with, args=(os.getppid(),), daemon=True, name="exit-with-first-process").start()
    try:
        yield
    except S4miError as error:
        if first:
            raise
        time.sleep(PATIENCE)  # if the first process fails with the same error, its end also ends this one
        raise S4miError(f"process {fabric.global_rank} of {fabric.world_size}: {error}") from error
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        if not first:
            raise SystemExit(1) from error
        raise S4miError(
            f"one of the {fabric.world_size} processes of this run has failed and ended the others; see its error "
            "message, then continue from the last epoch with --resume"
        ) from error


def _exit_with(parent: int) -> None:
    """End this process once the parent that started it has ended, whatever it is waiting for."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def _is_lost_connection(error: RuntimeError) -> bool:
    """Whether communication between processes failed: gloo is recognised by its message, NCCL by the error's type."""
    return isinstance(error, DistError) or "gloo" in str(error).lower() or "Connection closed by peer" in str(error)
