"""How threads wait for each other: asleep where other processes want the cores.

By default a thread of OpenMP, on which torch and oneDNN run, spins for milliseconds before it sleeps. On idle cores
that saves waking it; on shared ones it takes the time of the thread it waits for, and steps become up to ten times
slower. The libraries read these variables once, when torch is imported.
"""

import os
from collections.abc import MutableMapping

SHARED = 0.5
"""Load average per core, of processes that were there before this one, from which cores count as shared."""
ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""What GNU's and Intel's OpenMP read."""


def sleep_where_shared(environment: MutableMapping[str, str]) -> bool:
    """Let threads of this process and its children sleep while they wait, if cores are shared; returns whether.

    Values that the user has set stay.
    """
    try:
        load = os.getloadavg()[0]
    except OSError:  # the system keeps none
        return False
    if load < SHARED * (os.cpu_count() or 1):
        return False
    for name, value in ASLEEP.items():
        environment.setdefault(name, value)
    return True
