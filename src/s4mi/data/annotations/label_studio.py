"""Annotations as tasks of Label Studio: choices for whole images; polygons, rectangles and brush strokes for regions.

Pre-annotations are written as predictions, together with the XML of the labelling interface; annotations are read from
the JSON export of Label Studio. Its coordinates are percentages of the image width and height.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from s4mi.data.annotations.contours import components_of
from s4mi.data.annotations.json_fields import FieldError, field_of, number, points_of
from s4mi.data.annotations.label_studio_rle import decode_brush, encode_brush
from s4mi.data.annotations.types import AnnotatedRegion, Annotation, Points, PreAnnotation
from s4mi.data.spec import NO_CLASS
from s4mi.records import write_text_atomically

_UPLOAD_PREFIX = 9
"""Length of the prefix that Label Studio adds to names of uploaded files: eight characters and a dash."""


def is_label_studio(contents: Any) -> bool:
    """Whether the contents of a JSON file look like Label Studio's tasks."""
    return isinstance(contents, list) and all(isinstance(one, dict) and "data" in one for one in contents)


def read_label_studio(contents: Sequence[Mapping[str, Any]]) -> list[Annotation]:
    """Return every completed annotation of every task, without skipped ones.

    An empty annotation means background only, provided that any other annotation in the file has regions.

    Raises:
        FieldError: the contents violate the format of Label Studio.
    """
    annotations = list(_completed(contents))
    if any(annotation.regions for annotation in annotations):
        return annotations
    return [replace(annotation, regions=None) for annotation in annotations]


def _completed(contents: Sequence[Mapping[str, Any]]) -> Iterator[Annotation]:
    for i, task in enumerate(contents):
        location = f"[{i}]"
        completed = task.get("annotations", task.get("completions"))
        if completed is None and "predictions" in task:
            raise FieldError(
                f"{location}: contains only uncorrected predictions; import the file into Label Studio, correct and "
                "submit them, and export as JSON"
            )
        if completed is None:
            raise FieldError(f"{location}: has no 'annotations'; export as JSON, not as JSON-MIN")
        for j, one in enumerate(completed):
            if not one.get("was_cancelled"):
                yield _annotation(task["data"], field_of(one, "result", location), f"{location}.annotations[{j}]")


def write_label_studio(proposals: Sequence[PreAnnotation], path: Path, *, rle: bool, multilabel: bool) -> Path:
    """Write tasks with predictions, and beside them the labelling interface, whose path is returned.

    Args:
        rle: write brush strokes for all regions, instead of only for those with holes.
        multilabel: whether an image may have any number of classes.
    """
    tasks = []
    for proposal in proposals:
        result = [*_choices(proposal), *_region_results(proposal, rle=rle)]
        tasks.append(
            {
                # URL of local files in Label Studio, see its documentation on local storage.
                "data": {"image": f"/data/local-files/?d={proposal.path.lstrip('/')}", "id": proposal.id},
                "predictions": [{"model_version": "s4mi", "score": round(proposal.score, 6), "result": result}],
            }
        )
    write_text_atomically(path, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
    interface = path.with_suffix(".xml")
    write_text_atomically(interface, _interface(proposals, multilabel=multilabel))
    return interface


def _annotation(data: Mapping[str, Any], result: Sequence[Any], location: str) -> Annotation:
    labels: list[str] = []
    regions: list[AnnotatedRegion] = []
    size: tuple[int, int] | None = None
    kinds = set()
    for k, one in enumerate(result):
        where = f"{location}.result[{k}]"
        kind, value = field_of(one, "type", where), field_of(one, "value", where)
        kinds.add(kind)
        if kind == "choices":
            labels += [str(name) for name in field_of(value, "choices", where)]
            continue
        region_size = (int(number(one, "original_height", where)), int(number(one, "original_width", where)))
        if size is not None and size != region_size:
            raise FieldError(
                f"{where}: drawn on {region_size[0]}×{region_size[1]} pixels, other regions on {size[0]}×{size[1]}; "
                "export the task again"
            )
        size = region_size
        regions.append(_region(kind, value, size, location=where))
    chosen = tuple(name for name in dict.fromkeys(labels) if name != NO_CLASS)
    return Annotation(
        _image_names(data), location, size=size,
        labels=chosen if "choices" in kinds else None,
        regions=tuple(regions) if kinds - {"choices"} or not kinds else None,
    )  # fmt: skip


def _region(kind: str, value: Mapping[str, Any], size: tuple[int, int], *, location: str) -> AnnotatedRegion:
    names = field_of(value, kind, location)
    if not isinstance(names, list) or len(names) != 1:
        raise FieldError(f"{location}: region must have one class (given {names!r}); assign it exactly one label")
    name = str(names[0])
    if kind == "polygonlabels":
        corners = [[x / 100 * size[1], y / 100 * size[0]] for x, y in field_of(value, "points", location)]
        return AnnotatedRegion(name, points=points_of(corners, size, location=location))
    if kind == "rectanglelabels":
        corners = _corners(value, size, location=location).tolist()
        return AnnotatedRegion(name, points=points_of(corners, size, location=location))
    if kind == "brushlabels":
        try:
            return AnnotatedRegion(name, mask=decode_brush(field_of(value, "rle", location), size))
        except (ValueError, TypeError, OverflowError) as error:
            raise FieldError(f"{location}: rle {error}; export it again") from error
    raise FieldError(f"{location}: unsupported region type {kind}; use polygons, rectangles or brush strokes")


def _corners(value: Mapping[str, Any], size: tuple[int, int], *, location: str) -> Points:
    """Return the corners of a rectangle, which may be rotated around its first corner."""
    x, width = (number(value, key, location) / 100 * size[1] for key in ("x", "width"))
    y, height = (number(value, key, location) / 100 * size[0] for key in ("y", "height"))
    angle = np.deg2rad(float(value.get("rotation", 0)))
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners: Points = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ rotation + [x, y]
    return corners


def _image_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the possible names of an image: the id that s4mi wrote into the task, or names derived from its URL."""
    names = [str(data["id"])] if data.get("id") not in (None, "") else []
    for key in ("image", "img", "photo", "picture"):
        if data.get(key):
            url = urlsplit(str(data[key]))
            path = unquote(parse_qs(url.query).get("d", [url.path])[0])
            names.append(path)
            last = path.rsplit("/", 1)[-1]
            if len(last) > _UPLOAD_PREFIX and last[_UPLOAD_PREFIX - 1] == "-" and last[: _UPLOAD_PREFIX - 1].isalnum():
                names.append(last[_UPLOAD_PREFIX:])
    return tuple(names) or ("",)


def _choices(proposal: PreAnnotation) -> Iterator[dict[str, Any]]:
    if proposal.labels is not None:
        names = list(proposal.labels) or [NO_CLASS]
        yield {"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": names}}


def _region_results(proposal: PreAnnotation, *, rle: bool) -> Iterator[dict[str, Any]]:
    if proposal.mask is None:
        return
    height, width = proposal.size
    for index, name in enumerate(proposal.classes[1:], start=1):
        for component in components_of(proposal.mask == index):
            kind, shape = "brush", dict[str, Any]()
            if rle or component.points is None:
                shape = {"format": "rle", "rle": encode_brush(component.mask)}
            else:
                percent = component.points / [width, height] * 100
                kind, shape = "polygon", {"points": percent.tolist(), "closed": True}
            yield {
                "from_name": kind, "to_name": "image", "type": f"{kind}labels", "image_rotation": 0,
                "original_width": width, "original_height": height, "value": {**shape, f"{kind}labels": [name]},
            }  # fmt: skip


def _interface(proposals: Sequence[PreAnnotation], *, multilabel: bool) -> str:
    """Build the XML of the labelling interface of the tasks."""
    masks = [one for one in proposals if one.mask is not None]
    labelled = [one for one in proposals if one.mask is None]
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true"/>']
    if labelled:
        classes = dict.fromkeys(name for one in labelled for name in one.classes)
        choices = (*classes, *([NO_CLASS] if multilabel else []))
        choice = "multiple" if multilabel else "single"
        lines.append(f'  <Choices name="class" toName="image" choice="{choice}">')
        lines += [f"    <Choice value={quoteattr(name)}/>" for name in choices]
        lines.append("  </Choices>")
    if masks:
        classes = dict.fromkeys(name for one in masks for name in one.classes[1:])
        for kind in ("Polygon", "Brush"):
            lines.append(f'  <{kind}Labels name="{kind.lower()}" toName="image">')
            lines += [f"    <Label value={quoteattr(name)}/>" for name in classes]
            lines.append(f"  </{kind}Labels>")
    return "\n".join([*lines, "</View>", ""])
