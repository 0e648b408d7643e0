"""Annotations of QuPath (0.2 to 0.6) as GeoJSON, one file per image, which is named like it.

Coordinates are pixels of the full image, and pixel i spans i to i + 1. A polygon may have holes and several parts; it
contains the pixels whose centres are inside, as in QuPath's own masks. QuPath lists annotations in any order, so larger
ones are drawn first and those within them stay visible. Measurements and colours change nothing; detections, cells,
tiles and annotations without area are counted.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from s4mi.data.annotations.json_fields import FieldError, field_of
from s4mi.data.annotations.types import AnnotatedRegion, Annotation, Points

_WITHOUT_AREA = {"Point": "point", "MultiPoint": "point", "LineString": "line", "MultiLineString": "line"}


def is_geojson(contents: Any) -> bool:
    """Whether the contents of a JSON file look like GeoJSON: features, in a list or a collection, or one of them."""
    if isinstance(contents, list):
        return bool(contents) and all(isinstance(one, dict) and one.get("type") == "Feature" for one in contents)
    return isinstance(contents, dict) and contents.get("type") in ("Feature", "FeatureCollection")


def read_geojson(contents: Any, name: str, location: str) -> Annotation:
    """Return the annotation of the image; it is blank without any area, as it may not have been inspected.

    Args:
        name: path of the file without extension, below the folder of all; its name is that of the image.
        location: location of the file, for messages.

    Raises:
        FieldError: the contents violate the format, an annotation has no class, or belongs to another plane of a stack.
    """
    single = isinstance(contents, dict) and contents["type"] == "Feature"
    features = contents if isinstance(contents, list) else [contents] if single else contents.get("features")
    if not isinstance(features, list):
        raise FieldError("features: must be a list; export the file again")
    found: list[tuple[float, AnnotatedRegion]] = []
    ignored: list[str] = []
    for i, feature in enumerate(features):
        where = f"features[{i}]"
        properties = field_of(feature, "properties", where) or {}
        geometry = field_of(feature, "geometry", where)
        kind = str(properties.get("objectType") or properties.get("object_type") or "annotation")
        if kind not in ("annotation", "PathAnnotationObject") or geometry is None:
            ignored.append(kind.removeprefix("Path").removesuffix("Object").lower())
            continue
        without_area = _WITHOUT_AREA.get(str(field_of(geometry, "type", where)))
        if without_area is not None:
            ignored.append(without_area)
            continue
        _check_plane(geometry, where)
        outlines = list(_outlines(geometry, where))
        area = sum(-_area(ring) if hole else _area(ring) for ring, hole in outlines)
        region = AnnotatedRegion(_class_of(properties, where), rings=tuple(ring for ring, _ in outlines))
        found.append((area, region))
    regions = tuple(region for _, region in sorted(found, key=lambda pair: -pair[0]))
    return Annotation((name,), location, regions=regions or None, ignored=tuple(ignored))


def _class_of(properties: Mapping[str, Any], location: str) -> str:
    """Return the class of an annotation; derived ones are joined as QuPath shows them, such as `Tumor: Positive`."""
    classification = properties.get("classification")
    if isinstance(classification, Mapping):
        names = classification.get("names") or [classification.get("name")]
        if isinstance(names, list) and all(isinstance(name, str) and name for name in names):
            return ": ".join(names)
    raise FieldError(f"{location}: annotation without a class; assign one in QuPath, or delete it")


def _outlines(geometry: Mapping[str, Any], location: str) -> Iterator[tuple[Points, bool]]:
    """Yield all outlines of a geometry, and whether they are holes."""
    kind = field_of(geometry, "type", location)
    if kind == "GeometryCollection":
        for part in field_of(geometry, "geometries", location):
            yield from _outlines(part, location)
        return
    if kind not in ("Polygon", "MultiPolygon"):
        raise FieldError(f"{location}: unsupported geometry {kind!r}; use polygons, rectangles, ellipses or brushes")
    coordinates = field_of(geometry, "coordinates", location)
    for part in [coordinates] if kind == "Polygon" else coordinates:
        for number, ring in enumerate(part):
            yield _points(ring, location), number > 0


def _points(ring: Any, location: str) -> Points:
    try:
        points = np.array([[float(x), float(y)] for x, y, *_ in ring], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FieldError(f"{location}: polygon with corners that are not numbers; export it again") from error
    if len(points) < 3 or not np.isfinite(points).all():
        raise FieldError(f"{location}: not a polygon of at least three corners; draw it again")
    return points


def _area(ring: Points) -> float:
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _check_plane(geometry: Mapping[str, Any], location: str) -> None:
    plane = geometry.get("plane")
    if isinstance(plane, Mapping) and (plane.get("z") or plane.get("t")):
        raise FieldError(
            f"{location}: drawn on plane z {plane.get('z', 0)}, t {plane.get('t', 0)} of a stack; export the planes as "
            "images of their own"
        )
