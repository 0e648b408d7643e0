"""Annotation in COCO's format, which CVAT, Roboflow and others read and write: polygons, run lengths, categories.

Pieces of an image become `annotations` with a `segmentation`; COCO has no word for the class of a whole image, which is
an annotation without one, its box the whole image.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from s4mi.data.annotations.contours import components_of
from s4mi.data.annotations.json_fields import FieldError, number, part_of, points_of
from s4mi.data.annotations.types import AnnotatedRegion, Annotation, PreAnnotation
from s4mi.records import write_text_atomically

PROPOSED = "proposed by s4mi suggest; nobody has corrected it yet"


def is_coco(contents: Any) -> bool:
    """Whether the contents of a JSON file look like COCO's."""
    return isinstance(contents, dict) and {"images", "annotations", "categories"} <= contents.keys()


def read_coco(contents: Mapping[str, Any]) -> Iterator[Annotation]:
    """An annotation for each image that has one; those without any are silent, as nobody may have looked at them.

    Raises:
        FaultError: something is not as COCO says.
    """
    info = contents.get("info")
    if isinstance(info, Mapping) and info.get("description") == PROPOSED:
        raise FieldError(
            "info: says that nobody has corrected it yet; do, and export it, or take `info` out of the file"
        )
    names = {part_of(one, "id", f"categories[{i}]"): str(part_of(one, "name", f"categories[{i}]"))
             for i, one in enumerate(contents["categories"])}  # fmt: skip
    by_image: dict[Any, list[tuple[str, Mapping[str, Any]]]] = {}
    for i, one in enumerate(contents["annotations"]):
        by_image.setdefault(part_of(one, "image_id", f"annotations[{i}]"), []).append((f"annotations[{i}]", one))
    for i, image in enumerate(contents["images"]):
        place = f"images[{i}]"
        size = (int(number(image, "height", place)), int(number(image, "width", place)))
        called = tuple(str(image[key]) for key in ("s4mi_id", "file_name") if image.get(key))
        labels: list[str] = []
        regions: list[AnnotatedRegion] = []
        for where, one in by_image.pop(part_of(image, "id", place), []):
            category = part_of(one, "category_id", where)
            if category not in names:
                raise FieldError(f"{where}: category_id {category!r} is none of the categories; mend the file")
            if one.get("segmentation"):
                regions.extend(_regions(one["segmentation"], names[category], size, where=where))
            elif _whole(one, size):
                labels.append(names[category])
            else:
                raise FieldError(f"{where}: has no segmentation; draw a polygon or a mask, a box says no pixels")
        yield Annotation(
            called or (str(image["id"]),), place, size=size,
            labels=tuple(dict.fromkeys(labels)) or None, regions=tuple(regions) or None,
        )  # fmt: skip
    for image_id, ((where, _), *_) in by_image.items():
        raise FieldError(f"{where}: image_id {image_id!r} is none of the images; mend the file")


def write_coco(proposals: Sequence[PreAnnotation], path: Path, *, rle: bool) -> None:
    """Write what a run answers, for people to correct.

    Args:
        rle: run lengths for every piece, not for those with holes alone.
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
        for category, own in _pieces(proposal, rle=rle):
            annotations.append({"category_id": categories[category], "image_id": i, **own})
    numbered = [{"id": i, **one} for i, one in enumerate(annotations, start=1)]
    contents = {
        "info": {"description": PROPOSED},
        "images": images,
        "categories": [{"id": i, "name": name} for name, i in categories.items()],
        "annotations": numbered,
    }
    write_text_atomically(path, json.dumps(contents, ensure_ascii=False, indent=1) + "\n")


def _pieces(proposal: PreAnnotation, *, rle: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    if proposal.mask is None:
        return
    for index, name in enumerate(proposal.classes[1:], start=1):
        for piece in components_of(proposal.mask == index):
            runs = pycocotools.mask.encode(np.asfortranarray(piece.mask, dtype=np.uint8))
            box = [float(side) for side in pycocotools.mask.toBbox(runs)]
            as_runs = rle or piece.points is None
            if as_runs or piece.points is None:
                shape: Any = {"size": list(runs["size"]), "counts": runs["counts"].decode("ascii")}
            else:
                shape = [piece.points.ravel().tolist()]
            yield name, {"segmentation": shape, "bbox": box, "area": int(piece.mask.sum()), "iscrowd": int(as_runs)}


def _regions(shape: Any, name: str, size: tuple[int, int], *, where: str) -> Iterator[AnnotatedRegion]:
    if isinstance(shape, list):
        for polygon in shape:
            if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
                raise FieldError(f"{where}: segmentation holds a polygon of no three corners; draw it again")
            yield AnnotatedRegion(name, points=points_of(np.reshape(polygon, (-1, 2)).tolist(), size, where=where))
    else:
        yield AnnotatedRegion(name, mask=_decode(shape, size, where=where))


def _decode(shape: Any, size: tuple[int, int], *, where: str) -> NDArray[np.bool_]:
    """Run lengths, as numbers or as text."""
    if not isinstance(shape, dict) or "counts" not in shape or list(shape.get("size", ())) != list(size):
        found = shape.get("size") if isinstance(shape, dict) else shape
        raise FieldError(
            f"{where}: segmentation is of size {found}, but its image is {list(size)}; export it at the image's size"
        )
    counts = shape["counts"]
    try:
        if isinstance(counts, list):
            if sum(counts) != size[0] * size[1] or min(counts) < 0:
                raise ValueError("its counts do not add up to the image")
            shape = pycocotools.mask.frPyObjects({"size": list(size), "counts": counts}, *size)
        return np.asarray(pycocotools.mask.decode(shape), dtype=bool)
    except Exception as error:  # the library raises whatever its parser raises
        raise FieldError(f"{where}: segmentation is no run lengths ({error}); export it again") from error


def _whole(one: Mapping[str, Any], size: tuple[int, int]) -> bool:
    """Whether an annotation without pixels speaks of the whole image: it has no box, or one around everything."""
    box = one.get("bbox")
    return not box or [round(float(side)) for side in box] == [0, 0, size[1], size[0]]
