"""Mean over images with its interval, as a record."""

from collections.abc import Iterable

from s4mi.maths.stats import mean_interval
from s4mi.records import Frozen


class MeanInterval(Frozen):
    """Mean over images with its 95 % interval, which is None for a single image."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_of(values: Iterable[float | None]) -> MeanInterval | None:
    """Mean of the values that are defined (neither None nor NaN); None if none is."""
    known = [float(value) for value in values if value is not None and value == value]
    if not known:
        return None
    interval = mean_interval(known)
    return MeanInterval(mean=interval.mean, low=interval.low, high=interval.high, n=interval.n)
