"""The processes of one run: they end together, and one of them says why.

What is wrong for all, such as a setting, every process finds by itself, and the first says it. What goes wrong in one
alone ends that one, which says it; the others notice, as they wait for it in vain.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_fabric import Fabric
from torch.distributed import DistError

from s4mi.errors import S4miError

EVERY = 0.2
"""Seconds between two looks at whether the first process still lives."""
PATIENCE = 30.0
"""Seconds that the first process is given to say by itself what another one would say."""


@contextmanager
def raise_on_all_ranks(fabric: Fabric) -> Iterator[None]:
    """Training of this process, as one of several.

    Raises:
        S4miError: what went wrong here, or that another process ended.
    """
    if fabric.world_size == 1:
        yield
        return
    first = fabric.global_rank == 0
    if fabric.local_rank:
        threading.Thread(target=_follow, args=(os.getppid(),), daemon=True, name="follow-the-first-process").start()
    try:
        yield
    except S4miError as error:
        if first:
            raise
        time.sleep(PATIENCE)  # the first one's end, if it comes to the same, ends this process as well
        raise S4miError(f"process {fabric.global_rank} of {fabric.world_size}: {error}") from error
    except RuntimeError as error:
        if not _another_has_ended(error):
            raise
        if not first:
            raise SystemExit(1) from error
        raise S4miError(
            f"one of the {fabric.world_size} processes of this run has ended, and the others with it; its own message "
            "says why; go on from the last epoch with --resume"
        ) from error


def _follow(first: int) -> None:
    """End this process once the one that started it has ended, whatever it is waiting for."""
    while os.getppid() == first:
        time.sleep(EVERY)
    os._exit(1)


def _another_has_ended(error: RuntimeError) -> bool:
    """Whether a message between processes could not be sent or received: of gloo by its words, of NCCL by its kind."""
    return isinstance(error, DistError) or "gloo" in str(error).lower() or "Connection closed by peer" in str(error)
