"""Endpoints that change annotations. Each names the revision that it builds on, and the tab that it comes from."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import nearest
from s4mi.viewer.browse import number_of
from s4mi.viewer.changes import Annotated, MaskKind
from s4mi.viewer.describe import annotation_json, counts_of
from s4mi.viewer.masks import read_sent_mask
from s4mi.viewer.requests import RequestError, client_of, one_of, shown, whole
from s4mi.viewer.workspace import Workspace
from s4mi.viewer.writing import Writing

MAX_REASON = 500
STARTS = ("prediction", "truth", "nothing")


def put_labels(space: Workspace, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """Label an image."""
    n, writing = _writing(space, request)
    spec = space.manifest.spec
    names = body.get("labels")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(400, 'labels: missing or not a list of names; send {"labels": ["NAME"]}')
    for name in names:
        if name not in spec.classes:
            known = ", ".join(spec.classes) or "none"
            raise RequestError(422, f"labels: {shown(name)} is no class ({known}){nearest(name, spec.classes)}")
    if not spec.classes:
        raise RequestError(422, "labels: the data set has no classes; merge a first table of labels into it")
    if "multilabel" not in spec.tasks and len(names) != 1:
        raise RequestError(422, f"labels: {len(names)} classes; an image of this data set has exactly one")
    labels = tuple(sorted(set(names), key=spec.classes.index))
    space.annotations.set_labels(n, labels, writing)
    return _changed(space, n, writing)


def put_empty(space: Workspace, request: Request, _: Mapping[str, Any]) -> dict[str, Any]:
    """Answer that an image shows background only or, in a multi-label data set without masks, none of the classes."""
    n, writing = _writing(space, request)
    spec = space.manifest.spec
    if spec.mask_classes:
        after = Annotated(mask="edited", empty=True)
        space.annotations.set_mask(n, _background(space, n), after, writing, op="empty")
    elif "multilabel" in spec.tasks:
        space.annotations.set_labels(n, (), writing)
    else:
        raise RequestError(422, "empty: the data set has neither masks nor several labels per image; skip the image")
    return _changed(space, n, writing)


def put_skip(space: Workspace, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """Skip an image, with a reason or without."""
    n, writing = _writing(space, request)
    reason = body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise RequestError(400, f"reason: not a text of at most {MAX_REASON} characters; shorten it")
    space.annotations.skip(n, reason, writing)
    return _changed(space, n, writing)


def put_mask(space: Workspace, request: Request, body: bytes) -> dict[str, Any]:
    """Replace the whole mask of an image."""
    n, writing = _writing(space, request)
    size = _mask_size(space, n)
    mask = read_sent_mask(body, space.manifest.spec, most=size)
    if mask.shape != size:
        given = f"{mask.shape[0]}×{mask.shape[1]}"
        raise RequestError(422, f"body: mask is {given} but the image is {size[0]}×{size[1]}; send it at image size")
    space.annotations.set_mask(n, mask, Annotated(mask="edited"), writing)
    return _changed(space, n, writing)


def post_stroke(space: Workspace, request: Request, body: bytes) -> dict[str, Any]:
    """Replace a rectangle of the mask of an image."""
    n, writing = _writing(space, request)
    height, width = size = _mask_size(space, n)
    x, y = (whole(request.query_params.get(name), name) for name in ("x", "y"))
    if x >= width or y >= height:
        raise RequestError(422, f"x, y: {x}, {y} is outside of the image of {height}×{width}; send a point inside")
    patch = read_sent_mask(body, space.manifest.spec, most=(height - y, width - x))
    space.annotations.stroke(n, patch, (x, y), lambda: _start_of(space, n, size), writing)
    return _changed(space, n, writing)


def post_start(space: Workspace, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """Begin the mask of an image from a prediction, the data set's own mask, or background."""
    n, writing = _writing(space, request)
    size = _mask_size(space, n)
    begin = one_of(str(body.get("from", "")), "from", STARTS, default="nothing")
    if begin == "nothing":
        space.annotations.set_mask(n, _background(space, n), Annotated(mask="edited"), writing, op="start")
        return _changed(space, n, writing)
    mask = space.truth(n) if begin == "truth" else _prediction(space, n, str(body.get("run", "")))
    if mask is None:
        raise RequestError(404, f"image {n}: no {begin} to start from; start from nothing")
    if mask.shape != size:
        raise RequestError(422, f"image {n}: its {begin} is {mask.shape[0]}×{mask.shape[1]}; start from nothing")
    kind: MaskKind = "truth" if begin == "truth" else "prediction"
    space.annotations.set_mask(n, mask, Annotated(mask=kind), writing, op="start")
    return _changed(space, n, writing)


def delete_annotation(space: Workspace, request: Request) -> dict[str, Any]:
    """Take back all that is not merged."""
    n, writing = _writing(space, request)
    space.annotations.clear(n, writing)
    return _changed(space, n, writing)


def post_undo(space: Workspace, request: Request, _: Mapping[str, Any]) -> dict[str, Any]:
    """Undo the last change of an image."""
    n, writing = _writing(space, request)
    space.annotations.undo(n, writing)
    return _changed(space, n, writing)


def post_redo(space: Workspace, request: Request, _: Mapping[str, Any]) -> dict[str, Any]:
    """Redo what was undone last."""
    n, writing = _writing(space, request)
    space.annotations.redo(n, writing)
    return _changed(space, n, writing)


def post_open(space: Workspace, request: Request, _: Mapping[str, Any]) -> dict[str, Any]:
    """Note that a tab has an image open, and tell which others have."""
    return {"others": space.presence.open(number_of(space, request), client_of(request))}


def changes(space: Workspace, _: Request) -> dict[str, Any]:
    """All that is not merged."""
    images = []
    for n, one in space.annotations.changed().items():
        what = [
            *(["skip"] if one.skip is not None else []), *(["labels"] if one.labels is not None else []),
            *(["empty"] if one.empty else ["mask"] if one.mask in ("prediction", "edited") else []),
        ]  # fmt: skip
        images.append({
            "n": n, "name": space.columns.names[n], "what": what[0], "all": what, "labels": list(one.labels or ()),
            "reason": one.skip,
        })  # fmt: skip
    return {"counts": counts_of(space), "images": images}


def _writing(space: Workspace, request: Request) -> tuple[int, Writing]:
    """The image, and who changes it on which revision.

    Raises:
        RequestError: one of them is missing or not valid, or the page only looks.
    """
    if space.read_only:
        raise RequestError(403, "read-only: nothing can be changed; start s4mi view without --read-only")
    n, client = number_of(space, request), client_of(request)
    return n, Writing(client, whole(request.query_params.get("base_revision"), "base_revision"))


def _changed(space: Workspace, n: int, writing: Writing) -> dict[str, Any]:
    """The annotation after a change, which the other pages are told of."""
    annotation = annotation_json(space, n)
    counts = counts_of(space)
    space.events.send("changed", {"n": n, "revision": annotation["revision"], "by": writing.client, "changes": counts})
    return {"annotation": annotation, "changes": counts}


def _mask_size(space: Workspace, n: int) -> tuple[int, int]:
    if not space.manifest.spec.mask_classes:
        raise RequestError(422, "mask: the data set has no mask classes; add mask_values to dataset.yaml")
    return space.size(n)


def _background(space: Workspace, n: int) -> Pixels:
    import numpy as np

    return np.zeros(_mask_size(space, n), dtype=np.uint8)


def _start_of(space: Workspace, n: int, size: tuple[int, int]) -> Pixels:
    """The mask that a first stroke draws on: the data set's own, else background."""
    truth = space.truth(n)
    return truth if truth is not None and truth.shape == size else _background(space, n)


def _prediction(space: Workspace, n: int, run: str) -> Pixels | None:
    return space.run(run).mask(space.row(n))
