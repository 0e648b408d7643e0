"""Reading JSON that other programs wrote: what is missing or impossible is said with its place."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s4mi.data.annotations.types import Points

OUTSIDE = 1.0
"""Pixels that a corner may be outside of its image: programs let people draw along the edge."""


class FieldError(ValueError):
    """Something in a file is not as its format says; the message has place, value and cure, but not the file."""


def part_of(thing: Any, key: str, place: str) -> Any:
    """What stands under a key.

    Raises:
        FaultError: nothing does.
    """
    if not isinstance(thing, Mapping) or key not in thing:
        raise FieldError(f"{place}: has no {key!r}; export the file again")
    return thing[key]


def number(thing: Any, key: str, place: str) -> float:
    """The number that stands under a key.

    Raises:
        FaultError: there is none.
    """
    value = part_of(thing, key, place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(f"{place}: {key} is {value!r} where a number is wanted; export the file again")
    return float(value)


def points_of(corners: Sequence[Sequence[float]], size: tuple[int, int], *, where: str) -> Points:
    """Corners x, y in pixels → (P, 2), those a little outside moved onto the edge.

    Raises:
        FaultError: they are no numbers, fewer than three, or lie outside of the image.
    """
    try:
        points = np.asarray(corners, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FieldError(f"{where}: has corners that are no numbers; draw it again") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise FieldError(f"{where}: is a polygon of no three corners; draw it again")
    limits = np.array([size[1], size[0]], dtype=np.float64)
    out = ((points < -OUTSIDE) | (points > limits + OUTSIDE)).any(axis=1)
    if out.any():
        x, y = points[out][0]
        raise FieldError(
            f"{where}: has a corner at x {x:g}, y {y:g}, outside of its image of {size[1]} by {size[0]} pixels; "
            "draw it again, or export it at the image's size"
        )
    return np.clip(points, 0, limits)
