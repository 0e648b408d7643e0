"""Annotation as tasks of Label Studio: choices for whole images; polygons, rectangles and brush strokes for parts.

What a run proposes is written as predictions, with the XML of a labelling interface beside it; what comes back is read
from Label Studio's export as JSON. Coordinates there are percent of the image's width and height.
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
from s4mi.data.annotations.json_fields import FieldError, number, part_of, points_of
from s4mi.data.annotations.label_studio_rle import decode_brush, encode_brush
from s4mi.data.annotations.types import AnnotatedRegion, Annotation, Points, PreAnnotation
from s4mi.data.spec import NO_CLASS
from s4mi.records import write_text_atomically

_UPLOADED = 9
"""Label Studio puts eight letters and a dash before the name of a file that was uploaded."""


def is_label_studio(contents: Any) -> bool:
    """Whether the contents of a JSON file look like Label Studio's tasks."""
    return isinstance(contents, list) and all(isinstance(one, dict) and "data" in one for one in contents)


def read_label_studio(contents: Sequence[Mapping[str, Any]]) -> list[Annotation]:
    """Each completed annotation of each task; a task that was skipped or not looked at gives none.

    An annotation without anything says that all is background, if anything was drawn in any other of the file.

    Raises:
        FaultError: something is not as Label Studio writes it.
    """
    found = list(_completed(contents))
    if any(one.regions for one in found):
        return found
    return [replace(one, regions=None) for one in found]


def _completed(contents: Sequence[Mapping[str, Any]]) -> Iterator[Annotation]:
    for i, task in enumerate(contents):
        place = f"[{i}]"
        completed = task.get("annotations", task.get("completions"))
        if completed is None and "predictions" in task:
            raise FieldError(
                f"{place}: has predictions alone, which nobody has looked at; import the file into Label Studio, "
                "annotate, and export as JSON"
            )
        if completed is None:
            raise FieldError(f"{place}: has no 'annotations'; export as JSON, not as JSON-MIN")
        for j, one in enumerate(completed):
            if not one.get("was_cancelled"):
                yield _annotation(task["data"], part_of(one, "result", place), f"{place}.annotations[{j}]")


def write_label_studio(proposals: Sequence[PreAnnotation], path: Path, *, rle: bool, multilabel: bool) -> Path:
    """Write tasks with predictions, and beside them the labelling interface, whose path is returned.

    Args:
        rle: brush strokes for every piece, not for those with holes alone.
        multilabel: an image may have any number of classes.
    """
    tasks = []
    for proposal in proposals:
        result = [*_choices(proposal), *_pieces(proposal, rle=rle)]
        tasks.append(
            {
                # Where Label Studio serves files from a folder; see its pages on local storage.
                "data": {"image": f"/data/local-files/?d={proposal.path.lstrip('/')}", "id": proposal.id},
                "predictions": [{"model_version": "s4mi", "score": round(proposal.score, 6), "result": result}],
            }
        )
    write_text_atomically(path, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
    interface = path.with_suffix(".xml")
    write_text_atomically(interface, _interface(proposals, multilabel=multilabel))
    return interface


def _annotation(data: Mapping[str, Any], result: Sequence[Any], place: str) -> Annotation:
    labels: list[str] = []
    regions: list[AnnotatedRegion] = []
    size: tuple[int, int] | None = None
    kinds = set()
    for k, one in enumerate(result):
        where = f"{place}.result[{k}]"
        kind, value = part_of(one, "type", where), part_of(one, "value", where)
        kinds.add(kind)
        if kind == "choices":
            labels += [str(name) for name in part_of(value, "choices", where)]
            continue
        own = (int(number(one, "original_height", where)), int(number(one, "original_width", where)))
        if size is not None and size != own:
            raise FieldError(f"{where}: is drawn on {own[0]}×{own[1]} pixels and others on {size[0]}×{size[1]}")
        size = own
        regions.append(_region(kind, value, own, where=where))
    chosen = tuple(name for name in dict.fromkeys(labels) if name != NO_CLASS)
    return Annotation(
        _names(data), place, size=size,
        labels=chosen if "choices" in kinds else None,
        regions=tuple(regions) if kinds - {"choices"} or not kinds else None,
    )  # fmt: skip


def _region(kind: str, value: Mapping[str, Any], size: tuple[int, int], *, where: str) -> AnnotatedRegion:
    names = part_of(value, kind, where)
    if not isinstance(names, list) or len(names) != 1:
        raise FieldError(f"{where}: has {names!r} for its class where one is wanted; give the region one label")
    name = str(names[0])
    if kind == "polygonlabels":
        corners = [[x / 100 * size[1], y / 100 * size[0]] for x, y in part_of(value, "points", where)]
        return AnnotatedRegion(name, points=points_of(corners, size, where=where))
    if kind == "rectanglelabels":
        return AnnotatedRegion(name, points=points_of(_corners(value, size, where=where).tolist(), size, where=where))
    if kind == "brushlabels":
        try:
            return AnnotatedRegion(name, mask=decode_brush(part_of(value, "rle", where), size))
        except (ValueError, TypeError, OverflowError) as error:
            raise FieldError(f"{where}: rle {error}; export it again") from error
    raise FieldError(f"{where}: is of the kind {kind}; draw polygons, rectangles or with the brush")


def _corners(value: Mapping[str, Any], size: tuple[int, int], *, where: str) -> Points:
    """Of a rectangle, which may be turned around its first corner."""
    x, width = (number(value, key, where) / 100 * size[1] for key in ("x", "width"))
    y, height = (number(value, key, where) / 100 * size[0] for key in ("y", "height"))
    angle = np.deg2rad(float(value.get("rotation", 0)))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners: Points = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ turn + [x, y]
    return corners


def _names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """What a task may call its image: the id that was written into it, or the address of the image in any disguise."""
    names = [str(data["id"])] if data.get("id") not in (None, "") else []
    for key in ("image", "img", "photo", "picture"):
        if data.get(key):
            address = urlsplit(str(data[key]))
            path = unquote(parse_qs(address.query).get("d", [address.path])[0])
            names.append(path)
            last = path.rsplit("/", 1)[-1]
            if len(last) > _UPLOADED and last[_UPLOADED - 1] == "-" and last[: _UPLOADED - 1].isalnum():
                names.append(last[_UPLOADED:])
    return tuple(names) or ("",)


def _choices(proposal: PreAnnotation) -> Iterator[dict[str, Any]]:
    if proposal.labels is not None:
        names = list(proposal.labels) or [NO_CLASS]
        yield {"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": names}}


def _pieces(proposal: PreAnnotation, *, rle: bool) -> Iterator[dict[str, Any]]:
    if proposal.mask is None:
        return
    height, width = proposal.size
    for index, name in enumerate(proposal.classes[1:], start=1):
        for piece in components_of(proposal.mask == index):
            kind, shape = "brush", dict[str, Any]()
            if rle or piece.points is None:
                shape = {"format": "rle", "rle": encode_brush(piece.mask)}
            else:
                percent = piece.points / [width, height] * 100
                kind, shape = "polygon", {"points": percent.tolist(), "closed": True}
            yield {
                "from_name": kind, "to_name": "image", "type": f"{kind}labels", "image_rotation": 0,
                "original_width": width, "original_height": height, "value": {**shape, f"{kind}labels": [name]},
            }  # fmt: skip


def _interface(proposals: Sequence[PreAnnotation], *, multilabel: bool) -> str:
    """The labelling interface that the tasks want."""
    drawn = [one for one in proposals if one.mask is not None]
    named = [one for one in proposals if one.mask is None]
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true"/>']
    if named:
        chosen = (*dict.fromkeys(name for one in named for name in one.classes), *([NO_CLASS] if multilabel else []))
        choice = "multiple" if multilabel else "single"
        lines.append(f'  <Choices name="class" toName="image" choice="{choice}">')
        lines += [f"    <Choice value={quoteattr(name)}/>" for name in chosen]
        lines.append("  </Choices>")
    if drawn:
        classes = dict.fromkeys(name for one in drawn for name in one.classes[1:])
        for kind in ("Polygon", "Brush"):
            lines.append(f'  <{kind}Labels name="{kind.lower()}" toName="image">')
            lines += [f"    <Label value={quoteattr(name)}/>" for name in classes]
            lines.append(f"  </{kind}Labels>")
    return "\n".join([*lines, "</View>", ""])
