"""Mean over images with its interval, as a record."""

from collections.abc import Iterable

import numpy as np

from s4mi.maths.bootstrap import patient_interval
from s4mi.maths.ratio_bootstrap import FEW_PATIENTS
from s4mi.records import Frozen

SHARE = (0.0, 1.0)


class MeanInterval(Frozen):
    """Mean over images with its 95 % interval, which is None for a single image; `few`: widened, as images are few."""

    mean: float
    low: float | None
    high: float | None
    n: int
    few: bool = False


def mean_of(values: Iterable[float | None], limits: tuple[float, float] = SHARE) -> MeanInterval | None:
    """Mean of the values that are defined (neither None nor NaN); None if none is.

    Args:
        limits: range of the values, which the interval does not leave.
    """
    known = [float(value) for value in values if value is not None and value == value]
    if not known:
        return None
    # Shares and their differences are too skewed for Student's interval, and often all alike.
    images = [str(n) for n in range(len(known))]
    if limits != SHARE and len(known) >= FEW_PATIENTS and min(known) < max(known):
        limits = min(known), max(known)  # a difference of 1 or -1, which no image has, would say too little of so many
    interval = patient_interval(known, images, rng=np.random.default_rng(0), limits=limits)
    return MeanInterval(mean=interval.mean, low=interval.low, high=interval.high, n=interval.n, few=bool(interval.few))
