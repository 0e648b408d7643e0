"""Shapes in Label Studio's JSON: polygons, rectangles, ellipses, brush strokes and bitmasks.

Coordinates are percentages of the image width and height, of the image as stored: turning it on the screen
(`image_rotation`) changes neither. A rectangle turns around its first corner, an ellipse around its centre.
"""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.annotations.json_fields import FieldError, field_of, number, points_of
from s4mi.data.annotations.label_studio_rle import decode_brush
from s4mi.data.annotations.png import load_png
from s4mi.data.annotations.types import AnnotatedRegion, Points

_KEYS = {"rle": "brush", "imageDataURL": "bitmask", "points": "polygon", "radiusX": "ellipse", "width": "rectangle"}
"""Key that only the values of a shape have, for results whose type does not name the shape (`labels`)."""

SHAPES = frozenset(_KEYS.values())


def shape_of(kind: str, value: Any) -> str | None:
    """Return the shape that a result draws (`brush`, …), or None if it draws none that is supported.

    Args:
        kind: type of the result: a shape, a shape with `labels` appended, or `labels`.
    """
    if kind == "labels" and isinstance(value, Mapping):
        return next((shape for key, shape in _KEYS.items() if key in value), None)
    shape = kind.removesuffix("labels")
    return shape if shape in SHAPES else None


def region_of(
    shape: str, name: str, value: Mapping[str, Any], size: tuple[int, int], *, location: str
) -> AnnotatedRegion:
    """Convert a shape to a region.

    Args:
        name: class of the region.
        value: the shape in the units of Label Studio.
        size: (height, width) of the image.
        location: location of the result in the file, for messages.

    Raises:
        FieldError: the shape is not valid, or not inside the image.
    """
    if shape == "polygon":
        corners = [[x / 100 * size[1], y / 100 * size[0]] for x, y in field_of(value, "points", location)]
        return AnnotatedRegion(name, points=points_of(corners, size, location=location))
    if shape == "rectangle":
        corners = _corners(value, size, location=location).tolist()
        return AnnotatedRegion(name, points=points_of(corners, size, location=location))
    if shape == "ellipse":
        return AnnotatedRegion(name, mask=_ellipse(value, size, location=location))
    if shape == "bitmask":
        return AnnotatedRegion(name, mask=_bitmask(field_of(value, "imageDataURL", location), size, location=location))
    try:
        return AnnotatedRegion(name, mask=decode_brush(field_of(value, "rle", location), size))
    except FieldError:
        raise
    except (ValueError, TypeError, OverflowError) as error:
        raise FieldError(f"{location}: rle {error}; export it again") from error


def _corners(value: Mapping[str, Any], size: tuple[int, int], *, location: str) -> Points:
    """Return the corners of a rectangle."""
    x, width = (number(value, key, location) / 100 * size[1] for key in ("x", "width"))
    y, height = (number(value, key, location) / 100 * size[0] for key in ("y", "height"))
    cos, sin = _rotation(value, location)
    corners: Points = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ [[cos, sin], [-sin, cos]] + [x, y]
    return corners


def _ellipse(value: Mapping[str, Any], size: tuple[int, int], *, location: str) -> NDArray[np.bool_]:
    """Return the pixels whose centres are inside an ellipse or on its line; the image may cut it off."""
    x, a = (number(value, key, location) / 100 * size[1] for key in ("x", "radiusX"))
    y, b = (number(value, key, location) / 100 * size[0] for key in ("y", "radiusY"))
    if a <= 0 or b <= 0:
        raise FieldError(f"{location}: ellipse with radii {a:g} and {b:g} pixels; draw it again")
    cos, sin = _rotation(value, location)
    down, right = np.mgrid[: size[0], : size[1]] + 0.5 - np.array([y, x])[:, None, None]
    inside = ((right * cos + down * sin) / a) ** 2 + ((down * cos - right * sin) / b) ** 2 <= 1 + 1e-9
    return np.asarray(inside, dtype=bool)


def _rotation(value: Mapping[str, Any], location: str) -> tuple[float, float]:
    """Return cosine and sine of a rotation, which is clockwise on the screen."""
    angle = np.deg2rad(number(value, "rotation", location) if value.get("rotation") is not None else 0.0)
    return float(np.cos(angle)), float(np.sin(angle))


def _bitmask(address: Any, size: tuple[int, int], *, location: str) -> NDArray[np.bool_]:
    """Decode a PNG within a data URL, whose pixels that are not transparent are the mask."""
    try:
        image = load_png(io.BytesIO(base64.b64decode(str(address).partition(",")[2])))
        transparent = image.has_transparency_data
        alpha = np.asarray(image.convert("RGBA"))[:, :, 3]
    except ValueError as error:
        raise FieldError(f"{location}: imageDataURL is not an image ({error}); export it again") from error
    if not transparent:
        raise FieldError(f"{location}: bitmask without transparency, which marks its background; draw it again")
    if alpha.shape != size:
        raise FieldError(
            f"{location}: bitmask is {alpha.shape[0]}×{alpha.shape[1]}, its image {size[0]}×{size[1]}; draw it again"
        )
    return np.asarray(alpha > 0)
