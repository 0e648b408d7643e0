"""Results of an annotation in Label Studio's JSON: shapes with a class, classes of the image, and remarks.

Remarks, such as texts, ratings and relations, change neither labels nor masks; they are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from s4mi.data.annotations.json_fields import FieldError, field_of, number
from s4mi.data.annotations.label_studio_shapes import SHAPES, region_of, shape_of
from s4mi.data.annotations.types import AnnotatedRegion

REMARKS = {"textarea": "text", "rating": "rating", "relation": "relation", "number": "number", "datetime": "date"}
"""Types of results that say something about an image or a region, with the noun that counts them."""

ATTRIBUTES = ("choices", "taxonomy")
"""Types of results that choose classes of an image, or attributes of a region if they have the id of one."""


@dataclass
class Results:
    """Content of the results of an annotation.

    Attributes:
        labels: chosen classes of the image, or None if nothing was chosen.
        regions: regions in the order in which they were drawn.
        size: (height, width) of the image, if there are regions.
        ignored: one noun per remark.
    """

    labels: list[str] | None = None
    regions: list[AnnotatedRegion] = field(default_factory=list)
    size: tuple[int, int] | None = None
    ignored: list[str] = field(default_factory=list)


def read_results(result: Sequence[Any], location: str) -> Results:
    """Sort the results of an annotation.

    Raises:
        FieldError: a result is of an unsupported type, has no class or several, or violates its format.
    """
    found = Results()
    shapes = _bare_shapes(result)
    drawn = {one.get("id") for one in result if isinstance(one, Mapping) and _draws(one)} - {None}
    labelled = {one.get("id") for one in result if isinstance(one, Mapping) and one.get("type") == "labels"}
    for k, one in enumerate(result):
        where = f"{location}.result[{k}]"
        kind = str(field_of(one, "type", where))
        if kind in REMARKS:
            found.ignored.append(REMARKS[kind])
        elif kind in ATTRIBUTES and one.get("id") in drawn:
            found.ignored.append("attribute")
        elif kind == "choices":
            chosen = field_of(field_of(one, "value", where), "choices", where)
            found.labels = [*(found.labels or ()), *map(str, chosen)]
        elif kind not in SHAPES or one.get("id") not in labelled:
            # A shape and its label are two results with one id where the interface has separate controls for them.
            value = field_of(one, "value", where)
            bare = shapes.get(one.get("id")) if kind == "labels" else None
            _add_region(found, kind, {**bare, **value} if bare else value, one, location=where)
    return found


def _bare_shapes(result: Sequence[Any]) -> dict[Any, Mapping[str, Any]]:
    """Return the values of shapes without a class by their id."""
    values = {
        one.get("id"): one.get("value") for one in result if isinstance(one, Mapping) and one.get("type") in SHAPES
    }
    return {key: value for key, value in values.items() if key is not None and isinstance(value, Mapping)}


def _draws(one: Mapping[str, Any]) -> bool:
    kind = str(one.get("type"))
    return kind not in REMARKS and kind not in ATTRIBUTES and shape_of(kind, one.get("value")) is not None


def _add_region(found: Results, kind: str, value: Mapping[str, Any], one: Mapping[str, Any], *, location: str) -> None:
    shape = shape_of(kind, value)
    if shape is None:
        raise FieldError(
            f"{location}: unsupported result type {kind}; use choices for images, and polygons, rectangles, ellipses, "
            "brush strokes or bitmasks for regions"
        )
    names = value.get(kind) if isinstance(value, Mapping) and kind not in SHAPES else None
    if not isinstance(names, list) or len(names) != 1:
        count = "no class" if not names else f"given {names!r}"
        raise FieldError(f"{location}: region must have one class ({count}); assign it exactly one label")
    size = (int(number(one, "original_height", location)), int(number(one, "original_width", location)))
    if found.size is not None and found.size != size:
        raise FieldError(
            f"{location}: drawn on {size[0]}×{size[1]} pixels, other regions on {found.size[0]}×{found.size[1]}; "
            "export the task again"
        )
    found.size = size
    found.regions.append(region_of(shape, str(names[0]), value, size, location=location))
