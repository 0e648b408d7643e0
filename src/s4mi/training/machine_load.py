"""How busy the machine was while a run trained: times measured beside other programs say little of the method."""

import os


def machine_load(seconds: float) -> float | None:
    """Return the mean number of processes that ran or waited for a core, per core, in about the last `seconds`.

    1 is a machine whose cores all work and none is waited for; None where the system does not count.
    """
    if not hasattr(os, "getloadavg"):
        return None
    one, five, fifteen = os.getloadavg()
    average = one if seconds < 150 else five if seconds < 600 else fifteen
    return round(average / (os.cpu_count() or 1), 2)
