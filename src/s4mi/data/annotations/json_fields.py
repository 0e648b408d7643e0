"""Read fields of JSON written by other programs, with errors that name the location of the field."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s4mi.data.annotations.types import Points

OUTSIDE = 1.0
"""Tolerance in pixels for corners outside the image, as annotation tools allow drawing along the edge."""


class FieldError(ValueError):
    """A violation of the file format; the message has location, value and hint, but not the file."""


def field_of(container: Any, key: str, location: str) -> Any:
    """Return the value of a key of a JSON object.

    Raises:
        FieldError: the key is missing, or `container` is not an object.
    """
    if not isinstance(container, Mapping) or key not in container:
        raise FieldError(f"{location}: has no {key!r}; export the file again")
    return container[key]


def number(container: Any, key: str, location: str) -> float:
    """Return the number at a key of a JSON object.

    Raises:
        FieldError: the key is missing, or its value is not a number.
    """
    value = field_of(container, key, location)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(f"{location}: {key} must be a number (given {value!r}); export the file again")
    return float(value)


def points_of(corners: Sequence[Sequence[float]], size: tuple[int, int], *, location: str) -> Points:
    """Convert corners x, y in pixels to (P, 2), moving those slightly outside the image onto its edge.

    Args:
        size: (height, width) of the image.
        location: location of the polygon in the file, for messages.

    Raises:
        FieldError: the corners are not numbers, fewer than three, or outside the image.
    """
    try:
        points = np.asarray(corners, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FieldError(f"{location}: polygon with corners that are not numbers; draw it again") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise FieldError(f"{location}: not a polygon of at least three corners; draw it again")
    limits = np.array([size[1], size[0]], dtype=np.float64)
    outside = ((points < -OUTSIDE) | (points > limits + OUTSIDE)).any(axis=1)
    if outside.any():
        x, y = points[outside][0]
        raise FieldError(
            f"{location}: corner at x {x:g}, y {y:g} is outside the image (width {size[1]}, height {size[0]} pixels); "
            "draw it again, or export it at the size of the image"
        )
    return np.clip(points, 0, limits)
