"""Annotations of LabelMe (versions 4 to 6): one JSON file per image, with shapes in pixels.

Shapes are rasterised as LabelMe's `shape_to_mask` does, with Pillow, whose outline belongs to the shape. Points and
lines have no area; they and flags are counted.
"""

import base64
import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from s4mi.data.annotations.json_fields import FieldError, field_of, number, points_of
from s4mi.data.annotations.png import load_png
from s4mi.data.annotations.types import AnnotatedRegion, Annotation
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.pixel_limit import check_pixels

_CORNERS = {"polygon": None, "rectangle": 2, "circle": 2, "mask": 2, "oriented_rectangle": 4}
"""Number of points of a shape with an area, or None for at least three."""


def is_labelme(contents: Any) -> bool:
    """Whether the contents of a JSON file look like LabelMe's."""
    return isinstance(contents, dict) and isinstance(contents.get("shapes"), list) and "imagePath" in contents


def read_labelme(contents: Mapping[str, Any], name: str, location: str) -> Annotation:
    """Return the annotation of the image; it is blank without shapes, as it may not have been inspected.

    Args:
        name: path of the file without extension, below the folder of all; its name is usually that of the image.
        location: location of the file, for messages.

    Raises:
        FieldError: the contents violate the format of LabelMe.
    """
    sides = [number(contents, name, "file") for name in ("imageHeight", "imageWidth")]
    if not all(math.isfinite(side) for side in sides):
        raise FieldError(f"file: imageHeight and imageWidth must be numbers of pixels (given {sides}); export it again")
    size = (int(sides[0]), int(sides[1]))
    try:
        check_pixels(*size)
    except ImageError as error:
        raise FieldError(f"file: {error}") from error
    regions = []
    ignored = ["flag" for raised in (contents.get("flags") or {}).values() if raised]
    for i, shape in enumerate(contents["shapes"]):
        where = f"shapes[{i}]"
        kind = str(field_of(shape, "shape_type", where) or "polygon") if "shape_type" in shape else "polygon"
        if kind in ("point", "points", "line", "linestrip"):
            ignored.append(kind.removesuffix("s"))
            continue
        if kind not in _CORNERS:
            raise FieldError(f"{where}: unsupported shape type {kind}; use polygons, rectangles, circles or masks")
        regions.append(AnnotatedRegion(str(field_of(shape, "label", where)), mask=_mask(kind, shape, size, where)))
    image, folder = str(contents["imagePath"] or ""), name.rpartition("/")[0]
    if folder and image and not {"/", "\\"} & {*image}:  # relative to the file
        image = f"{folder}/{image}"
    names = (image, name) if image else (name,)
    return Annotation(
        names, location, regions=tuple(regions) or None, size=size, ignored=tuple(ignored), agreeing=names
    )


def _mask(kind: str, shape: Mapping[str, Any], size: tuple[int, int], location: str) -> NDArray[np.bool_]:
    points = field_of(shape, "points", location)
    if kind == "polygon":
        points_of(points, size, location=location)
    elif np.shape(points) != (_CORNERS[kind], 2):
        count = "four" if kind == "oriented_rectangle" else "two"
        raise FieldError(f"{location}: {kind} must have {count} points (given {points!r}); draw it again")
    xy = [(float(x), float(y)) for x, y in points]
    if kind == "mask":
        return _pasted(str(field_of(shape, "mask", location)), xy, size, location)
    canvas = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    if kind in ("polygon", "oriented_rectangle"):
        draw.polygon(xy, outline=1, fill=1)
    elif kind == "rectangle":
        (x0, x1), (y0, y1) = (sorted(sides) for sides in zip(*xy, strict=True))
        draw.rectangle([x0, y0, x1, y1], outline=1, fill=1)
    else:
        (x, y), on_the_line = xy[0], xy[1]
        radius = math.dist(xy[0], on_the_line)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)
    return np.asarray(canvas, dtype=bool)


def _pasted(text: str, corners: list[tuple[float, float]], size: tuple[int, int], location: str) -> NDArray[np.bool_]:
    """Decode a mask, which is a PNG of the pixels from its first corner to its second, both included."""
    (left, top), (right, bottom) = ((int(x), int(y)) for x, y in corners)
    try:
        part = np.asarray(load_png(io.BytesIO(base64.b64decode(text)))) > 0
    except ValueError as error:
        raise FieldError(f"{location}: mask is not a PNG ({error}); draw it again") from error
    inside = 0 <= left <= right < size[1] and 0 <= top <= bottom < size[0]
    if not inside or part.shape != (bottom - top + 1, right - left + 1):
        raise FieldError(
            f"{location}: mask of shape {part.shape} does not fit from x {left}, y {top} to x {right}, y {bottom} in "
            f"{size[0]}×{size[1]} pixels; draw it again"
        )
    whole = np.zeros(size, dtype=bool)
    whole[top : bottom + 1, left : right + 1] = part
    return whole
