"""Annotations in COCO format, which CVAT, Roboflow and others read and write: polygons, run lengths, categories.

Regions of an image are `annotations` with a `segmentation`. COCO does not define classes of whole images; here they are
annotations without `segmentation`, whose bounding box is the whole image.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from s4mi.data.annotations.coco_rle import decode_runs
from s4mi.data.annotations.contours import components_of, fill, pixel_edges, through_centres
from s4mi.data.annotations.json_fields import FieldError, field_of, number, points_of
from s4mi.data.annotations.types import AnnotatedRegion, Annotation, Points, PreAnnotation
from s4mi.records import write_text_atomically

PROPOSED = "proposed by s4mi suggest; nobody has corrected it yet"  # in files on disk, so it must not change

MOST_PIXELS = 1 << 32
"""pycocotools 2.0 counts pixels in 32 bits, and folds a larger image onto itself."""
_OF_THE_SHAPE = ("occluded", "rotation", "track_id", "keyframe", "is_crowd", "score")
"""Attributes that CVAT writes for each shape by itself."""


def is_coco(contents: Any) -> bool:
    """Whether the contents of a JSON file look like COCO's."""
    return isinstance(contents, dict) and {"images", "annotations", "categories"} <= contents.keys()


def read_coco(contents: Mapping[str, Any]) -> Iterator[Annotation]:
    """Yield the annotation of each image; images without one are blank, as they may not have been inspected.

    Raises:
        FieldError: the contents violate the COCO format.
    """
    info = contents.get("info")
    if isinstance(info, Mapping) and info.get("description") == PROPOSED:
        raise FieldError(
            "info: the predictions are not corrected yet; correct and export them, or remove `info` from the file"
        )
    _refuse_label_studio(info)
    names = _category_names(contents["categories"])
    by_image: dict[Any, list[tuple[str, Mapping[str, Any]]]] = {}
    for i, one in enumerate(contents["annotations"]):
        by_image.setdefault(field_of(one, "image_id", f"annotations[{i}]"), []).append((f"annotations[{i}]", one))
    for location, image_names, image in _images(contents["images"]):
        size = (int(number(image, "height", location)), int(number(image, "width", location)))
        labels: list[str] = []
        regions: list[AnnotatedRegion] = []
        ignored: list[str] = []
        for where, one in by_image.pop(image["id"], []):
            category = field_of(one, "category_id", where)
            if category not in names:
                raise FieldError(f"{where}: unknown category_id {category!r}; add it to `categories`")
            ignored += ["attribute" for name in one.get("attributes") or () if name not in _OF_THE_SHAPE]
            if one.get("segmentation"):
                regions.extend(_regions(one["segmentation"], names[category], size, location=where))
            elif _is_whole_image(one, size):
                labels.append(names[category])
            else:
                raise FieldError(f"{where}: has a box but no segmentation; draw a polygon or a mask")
        yield Annotation(
            image_names or (str(image["id"]),), location, size=size,
            labels=tuple(dict.fromkeys(labels)) or None, regions=tuple(regions) or None, ignored=tuple(ignored),
            agreeing=image_names,
        )  # fmt: skip
    for unknown, ((where, _), *_) in by_image.items():
        raise FieldError(f"{where}: unknown image_id {unknown!r}; add it to `images`")


def write_coco(proposals: Sequence[PreAnnotation], path: Path, *, rle: bool) -> None:
    """Write pre-annotations as COCO, for annotators to correct.

    Args:
        rle: write run lengths for all regions, instead of only for those with holes.
    """
    names = list(dict.fromkeys(name for one in proposals for name in one.classes[one.mask is not None :]))
    categories = {name: i for i, name in enumerate(names, start=1)}
    images, annotations = [], []
    for i, proposal in enumerate(proposals, start=1):
        height, width = proposal.size
        images.append({"id": i, "file_name": proposal.path, "height": height, "width": width, "s4mi_id": proposal.id})
        for label in proposal.labels or ():
            box = [0, 0, width, height]
            annotations.append({"category_id": categories[label], "image_id": i, "bbox": box, "area": width * height,
                                "segmentation": [], "iscrowd": 0})  # fmt: skip
        for category, fields in _region_fields(proposal, rle=rle):
            annotations.append({"category_id": categories[category], "image_id": i, **fields})
    numbered = [{"id": i, **one} for i, one in enumerate(annotations, start=1)]
    contents = {
        "info": {"description": PROPOSED},
        "images": images,
        "categories": [{"id": i, "name": name} for name, i in categories.items()],
        "annotations": numbered,
    }
    write_text_atomically(path, json.dumps(contents, ensure_ascii=False, indent=1) + "\n")


def _images(images: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, ...], Mapping[str, Any]]]:
    """Yield location, names and contents of each image; one that is listed twice, once."""
    seen: dict[Any, tuple[str, tuple[str, ...]]] = {}
    for i, image in enumerate(images):
        location, identifier = f"images[{i}]", field_of(image, "id", f"images[{i}]")
        names = tuple(str(image[key]) for key in ("s4mi_id", "file_name") if image.get(key))
        first, names_there = seen.setdefault(identifier, (location, names))
        if names_there != names:
            raise FieldError(
                f"{location}: id {identifier!r} is that of {first} too, so that its annotations may be of either; give "
                "each image an id of its own"
            )
        if first == location:
            yield location, names, image


def _category_names(categories: Sequence[Mapping[str, Any]]) -> dict[Any, str]:
    """Return the names of categories by their ids."""
    names: dict[Any, str] = {}
    for i, category in enumerate(categories):
        where = f"categories[{i}]"
        identifier, name = field_of(category, "id", where), str(field_of(category, "name", where))
        if names.setdefault(identifier, name) != name:
            raise FieldError(
                f"{where}: id {identifier!r} is that of {names[identifier]!r} and of {name!r}; give each category an "
                "id of its own"
            )
    return names


def _refuse_label_studio(info: Any) -> None:
    """Refuse COCO written by Label Studio or its converter, as nothing in the file tells what they left out."""
    contributor = str(info.get("contributor", "")) if isinstance(info, Mapping) else ""
    if contributor.lower().startswith("label studio"):
        raise FieldError(
            f"info: COCO written by {contributor}, which drops brush strokes and ellipses, or fills the holes of "
            "strokes; export the project as JSON and merge that (or remove `info` from a file of polygons alone)"
        )


def _region_fields(proposal: PreAnnotation, *, rle: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    if proposal.mask is None:
        return
    for index, name in enumerate(proposal.classes[1:], start=1):
        for component in components_of(proposal.mask == index):
            runs = pycocotools.mask.encode(np.asfortranarray(component.mask, dtype=np.uint8))
            box = [float(side) for side in pycocotools.mask.toBbox(runs)]
            as_runs = rle or component.points is None
            if as_runs:
                shape: Any = {"size": list(runs["size"]), "counts": runs["counts"].decode("ascii")}
            else:
                shape = [pixel_edges(component.mask).ravel().tolist()]
            area = int(component.mask.sum())
            yield name, {"segmentation": shape, "bbox": box, "area": area, "iscrowd": int(as_runs)}


def _regions(shape: Any, name: str, size: tuple[int, int], *, location: str) -> Iterator[AnnotatedRegion]:
    if isinstance(shape, list):
        if size[0] * size[1] > MOST_PIXELS:
            raise FieldError(
                f"{location}: polygon in an image of {size[1]} × {size[0]} pixels, of which COCO counts 2³² at most; "
                "annotate parts of the image"
            )
        for polygon in shape:
            if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
                raise FieldError(f"{location}: not a polygon of at least three corners; draw it again")
            corners = np.reshape(polygon, (-1, 2)).tolist()
            points = points_of(corners, size, location=location)
            yield AnnotatedRegion(name, mask=_rasterise(points, size))
    else:
        yield AnnotatedRegion(name, mask=_decode(shape, size, location=location))


def _rasterise(points: Points, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Rasterise a polygon as pycocotools does; those of earlier versions of s4mi include the pixels on their line."""
    if through_centres(points):
        return fill(points, size)
    (runs,) = pycocotools.mask.frPyObjects([points.ravel().tolist()], *size)
    return np.asarray(pycocotools.mask.decode(runs), dtype=bool)


def _decode(shape: Any, size: tuple[int, int], *, location: str) -> NDArray[np.bool_]:
    """Decode run lengths, given as numbers or as text."""
    if not isinstance(shape, dict) or "counts" not in shape or shape.get("size") != list(size):
        found = shape.get("size") if isinstance(shape, dict) else shape
        raise FieldError(
            f"{location}: segmentation has size {found} but its image {list(size)}; export it at the size of the image"
        )
    try:
        return decode_runs(shape["counts"], size)
    except ValueError as error:
        raise FieldError(f"{location}: segmentation is not valid run lengths ({error}); export it again") from error


def _is_whole_image(annotation: Mapping[str, Any], size: tuple[int, int]) -> bool:
    """Whether an annotation without segmentation has no bounding box, or that of the whole image."""
    box = annotation.get("bbox")
    return not box or [round(float(side)) for side in box] == [0, 0, size[1], size[0]]
