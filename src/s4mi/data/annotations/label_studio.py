"""Annotations as tasks of Label Studio: choices for whole images; shapes for regions.

Pre-annotations are written as predictions, together with the XML of the labelling interface; annotations are read from
the JSON export of Label Studio. Its coordinates are percentages of the image width and height.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from s4mi.data.annotations.contours import components_of
from s4mi.data.annotations.json_fields import FieldError, field_of
from s4mi.data.annotations.label_studio_results import read_results
from s4mi.data.annotations.label_studio_rle import encode_brush
from s4mi.data.annotations.types import Annotation, PreAnnotation
from s4mi.data.spec import NO_CLASS
from s4mi.records import write_text_atomically

_SET_ASIDE = "annotation beside a ground truth"


def is_json_min(contents: Any) -> bool:
    """Whether the contents of a JSON file look like Label Studio's JSON-MIN: flat tasks, one per annotation."""
    marks = {"annotation_id", "annotator", "lead_time"}
    if not isinstance(contents, list) or not contents or is_label_studio(contents):
        return False
    return all(isinstance(one, dict) and marks & one.keys() for one in contents)


def is_label_studio(contents: Any) -> bool:
    """Whether the contents of a JSON file look like Label Studio's tasks."""
    return isinstance(contents, list) and all(
        isinstance(one, dict) and isinstance(one.get("data"), dict) for one in contents
    )


def read_label_studio(contents: Sequence[Mapping[str, Any]]) -> list[Annotation]:
    """Return every completed annotation of every task, without skipped ones; of a task with a ground truth only that.

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
        valid = {j: one for j, one in enumerate(completed) if not one.get("was_cancelled")}
        truth = {j: one for j, one in valid.items() if one.get("ground_truth")}
        aside = len(valid) - len(truth) if truth else 0
        for j, one in (truth or valid).items():
            found = _annotation(task["data"], field_of(one, "result", location), f"{location}.annotations[{j}]")
            yield replace(found, ignored=(*found.ignored, *[_SET_ASIDE] * aside))
            aside = 0


def write_label_studio(
    proposals: Sequence[PreAnnotation], path: Path, *, rle: bool, multilabel: bool, root: Path | None = None
) -> Path:
    """Write tasks with predictions, and beside them the labelling interface, whose path is returned.

    Args:
        rle: write brush strokes for all regions, instead of only for those with holes.
        multilabel: whether an image may have any number of classes.
        root: folder to which the paths of the images are relative, whose parent Label Studio serves; without it, the
            paths are written as they are.
    """
    tasks = []
    for proposal, address in zip(proposals, _addresses(proposals, root), strict=True):
        result = results_of(proposal, rle=rle)
        tasks.append(
            {
                # URL of local files in Label Studio, see its documentation on local storage.
                "data": {"image": address, "id": proposal.id},
                "predictions": [{"model_version": "s4mi", "score": round(proposal.score, 6), "result": result}],
            }
        )
    write_text_atomically(path, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
    interface = path.with_suffix(".xml")
    write_text_atomically(interface, _interface(proposals, multilabel=multilabel))
    return interface


def results_of(proposal: PreAnnotation, *, rle: bool) -> list[dict[str, Any]]:
    """Return the results of a prediction: choices of the control `class`, regions of `polygon` and `brush`.

    Args:
        rle: brush strokes for all regions, instead of only for those with holes.
    """
    return [*_choices(proposal), *_region_results(proposal, rle=rle)]


def _annotation(data: Mapping[str, Any], result: Sequence[Any], location: str) -> Annotation:
    found = read_results(result, location)
    chosen, names = found.labels, image_names(data)
    own_id = data.get("id") not in (None, "")
    return Annotation(
        names, location, size=found.size, ignored=tuple(found.ignored), agreeing=names[:2] if own_id else (),
        labels=None if chosen is None else tuple(name for name in dict.fromkeys(chosen) if name != NO_CLASS),
        regions=tuple(found.regions) if found.regions or chosen is None else None,
    )  # fmt: skip


def image_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the possible names of an image: the id that s4mi wrote into the task, or names derived from its URL."""
    names = [str(data["id"])] if data.get("id") not in (None, "") else []
    for key in ("image", "img", "photo", "picture"):
        if data.get(key):
            address = str(data[key])
            url = urlsplit(address)
            # Of a local file the server decodes the parameter once, and takes the last.
            local = parse_qs(url.query).get("d")
            names.append(local[-1] if local else unquote(url.path))
            # Addresses that were not quoted end at `#` or `&` for the server, and `+` is a space in them.
            if local or url.fragment:
                names.append(address.partition("?d=")[2] if local else address)
    return tuple(dict.fromkeys(names)) or ("",)


def _addresses(proposals: Sequence[PreAnnotation], root: Path | None) -> list[str]:
    """Return the URLs of images as local files of a server whose document root is the parent of `root`.

    Label Studio refuses a storage that is the document root itself, hence the parent. If any image is outside of
    `root`, the document root of all is `/`.
    """
    paths = [proposal.path for proposal in proposals]
    if root is not None:
        outside = any(Path(path).is_absolute() for path in paths)
        paths = [(root / path if outside else Path(root.name, path)).as_posix() for path in paths]
    return [f"/data/local-files/?d={quote(path.lstrip('/'))}" for path in paths]


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
