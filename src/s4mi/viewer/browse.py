"""Endpoints to look: the session, the grid and its facets, an image, its pictures and masks."""

import secrets
from typing import Any

import numpy as np
from starlette.requests import Request

from s4mi import __version__
from s4mi.data.formats.frame import ImageError
from s4mi.records import IGNORE
from s4mi.viewer.describe import annotation_json, counts_of, item_of, size_deadline, window_json
from s4mi.viewer.grid import PART_NAMES, SORTS, Query, disagrees, select
from s4mi.viewer.masks import difference, ignores, mask_picture, resized_grey
from s4mi.viewer.pictures import LARGE, SIZES, TILE, Picture, Window, encode_lossless, levels_of
from s4mi.viewer.requests import RequestError, decimal, flag, listed, one_of, whole, yes_no
from s4mi.viewer.workspace import Workspace

MOST_ITEMS = 500
SOURCES = ("truth", "edited", "prediction")


def session(space: Workspace, request: Request) -> dict[str, Any]:
    """The data set, its runs and study, and what is not merged."""
    manifest = space.manifest
    spec = manifest.spec
    study = request.app.state.study
    return {
        "version": __version__, "client": f"c-{secrets.token_hex(4)}", "read_only": space.read_only,
        "dataset": {
            "name": spec.name, "version": manifest.version, "count": len(manifest.rows), "tasks": tasks_of(space),
            "multilabel": "multilabel" in spec.tasks, "classes": list(spec.classes),
            "mask_classes": list(spec.mask_classes), "ignore": IGNORE if ignores(spec) else None,
            "synthetic": spec.synthetic, "groups": bool(space.columns.group_names),
        },
        "runs": [run.describe() for run in space.runs.values()],
        "study": None if study is None else {"name": study.name}, "changes": counts_of(space),
    }  # fmt: skip


def tasks_of(space: Workspace) -> list[str]:
    """Tasks that can be annotated: those whose classes are known."""
    spec = space.manifest.spec
    return [
        *(["classification"] if spec.classes else []),
        *(["segmentation"] if spec.mask_classes else []),
    ]  # fmt: skip


def number_of(space: Workspace, request: Request) -> int:
    """The image in the path.

    Raises:
        RequestError: there is none of this number.
    """
    n = whole(request.path_params["n"], "image")
    if n >= space.columns.count:
        raise RequestError(404, f"image {n}: the data set has {space.columns.count} images; choose a lower number")
    return n


def query_of(space: Workspace, request: Request) -> Query:
    """The filters and the order in a query.

    Raises:
        RequestError: one of them is unknown.
    """
    given = request.query_params
    parts = listed(given.get("part"))
    for part in parts or ():
        one_of(part, "part", PART_NAMES, default="")
    run = given.get("run", "")
    if run:
        space.run(run)
    return Query(
        parts=parts, labels=listed(given.get("label")), predictions=listed(given.get("prediction")),
        annotated=yes_no(given.get("annotated"), "annotated"),
        disagreement=yes_no(given.get("disagreement"), "disagreement"),
        near_duplicate=yes_no(given.get("near_duplicate"), "near_duplicate"),
        changed=yes_no(given.get("changed"), "changed"), skipped=yes_no(given.get("skipped"), "skipped"),
        group=given.get("group") or None, text=given.get("text", "")[:200], run=run,
        sort=one_of(given.get("sort"), "sort", SORTS, default="manifest"),
        descending=flag(given.get("descending"), "descending"),
    )  # fmt: skip


def order_of(space: Workspace, query: Query) -> tuple[int, Any]:
    """The revision of the columns, and the numbers of the images that a query finds, in order."""
    with space.lock:
        revision, columns = space.revision, space.columns
        order = space.orders.find(query, revision)
        marks = space.marks() if order is None else None
    if marks is not None:
        predicted = space.run(query.run).predicted() if query.run else None
        order = select(query, columns, marks, predicted)
        space.orders.keep(query, revision, order)
    return revision, order


def grid(space: Workspace, request: Request) -> dict[str, Any]:
    """A part of the images that a query finds."""
    query = query_of(space, request)
    offset = whole(request.query_params.get("offset"), "offset", default=0)
    limit = whole(request.query_params.get("limit"), "limit", default=200, low=1, high=MOST_ITEMS)
    revision, order = order_of(space, query)
    run = space.run(query.run) if query.run else None
    deadline = size_deadline()
    items = [item_of(space, int(n), run, deadline) for n in order[offset : offset + limit]]
    return {"total": len(order), "revision": revision, "offset": offset, "items": items}


def facets(space: Workspace, request: Request) -> dict[str, Any]:
    """How many images have each property that the grid filters by."""
    columns, marks = space.columns, space.marks()
    key = request.query_params.get("run", "")
    predicted = space.run(key).predicted() if key else None
    codes = np.bincount(columns.parts + 1, minlength=4).tolist()
    classes = space.manifest.spec.classes
    found = {
        "part": {**dict(zip(PART_NAMES, codes[1:], strict=False)), "unassigned": codes[0]},
        "label": columns.labels.counts(classes), "annotated": _two(columns.annotated), "changed": _two(marks.changed),
        "skipped": _two(marks.skipped), "near_duplicate": _two(marks.duplicates > 0),
        "groups": len(columns.group_names), "prediction": {}, "disagreement": {"yes": 0, "no": columns.count},
    }  # fmt: skip
    if predicted is not None:
        found["prediction"] = predicted.labels.counts(())
        found["disagreement"] = _two(disagrees(predicted))
    return found


def image(space: Workspace, request: Request) -> dict[str, Any]:
    """Everything about an image but its pixels."""
    n = number_of(space, request)
    runs = [space.run(key) for key in request.query_params.getlist("run")]
    for run in runs:
        request.app.state.predicting.ask(run, [n], first=True)
    contents = item_of(space, n, runs[0] if runs else None)
    try:
        size = space.size(n)
        window, problem = window_json(space.pictures.window(space.row(n))), ""
    except ImageError as error:
        size, window, problem = (0, 0), None, f"image {error}"
    return contents | {
        "width": size[1], "height": size[0], "window": window, "large": size[0] * size[1] >= LARGE, "tile": TILE,
        "levels": levels_of(size), "predictions": [one for run in runs if (one := run.describe_image(n, space.row(n)))],
        "duplicates": list(space.duplicates.get(n, ())), "annotation": annotation_json(space, n),
        "prediction_errors": {
            run.key: message for run in runs if (message := request.app.state.predicting.error_of(run))
        }, "findings": [*([problem] if problem else []), *request.app.state.findings.of_image(n)],
    }  # fmt: skip


def window_of(request: Request) -> Window | None:
    """The values shown as black and white in a query, None for those of the file.

    Raises:
        RequestError: only one is given, or the first is not below the second.
    """
    low, high = (decimal(request.query_params.get(name), name) for name in ("low", "high"))
    if low is None and high is None:
        return None
    if low is None or high is None or low >= high:
        raise RequestError(400, f"low, high: {low} and {high} are no window; send low below high")
    return low, high


def picture(space: Workspace, request: Request) -> Picture:
    """An image at the requested size."""
    n = number_of(space, request)
    size = one_of(request.query_params.get("size"), "size", SIZES, default="320")
    return space.pictures.picture(space.row(n), size, window_of(request))


def tile(space: Workspace, request: Request) -> Picture:
    """A tile of an image."""
    n = number_of(space, request)
    level, x, y = (whole(request.path_params[name], name) for name in ("level", "x", "y"))
    if level >= levels_of(space.size(n)):
        raise RequestError(404, f"level {level}: the image has {levels_of(space.size(n))} levels; choose a lower one")
    found = space.pictures.tile(space.row(n), level, x, y, window_of(request))
    if found is None:
        raise RequestError(404, f"tile {x}, {y} of level {level}: outside of the image; choose one inside")
    return found


def mask(space: Workspace, request: Request) -> Picture:
    """A mask of an image: that of the data set, as edited, or as predicted."""
    n = number_of(space, request)
    source = one_of(request.query_params.get("source"), "source", SOURCES, default="truth")
    size = one_of(request.query_params.get("size"), "size", SIZES, default="full")
    if source == "truth":
        found = space.truth(n)
    elif source == "edited":
        found = space.annotations.mask(n)
    else:
        found = space.run(request.query_params.get("run", "")).mask(space.row(n))
    if found is None:
        raise RequestError(404, f"image {n}: no {source} mask; start one, or choose another source")
    return mask_picture(found, size)


def difference_picture(space: Workspace, request: Request) -> Picture:
    """Where the mask of the data set and the predicted one differ."""
    n = number_of(space, request)
    size = one_of(request.query_params.get("size"), "size", SIZES, default="full")
    truth, predicted = space.truth(n), space.run(request.query_params.get("run", "")).mask(space.row(n))
    if truth is None or predicted is None:
        missing = "mask" if truth is None else "predicted mask"
        raise RequestError(404, f"image {n}: no {missing}, so no difference; choose another image")
    return mask_picture(difference(truth, predicted), size)


def doubt(space: Workspace, request: Request) -> Picture:
    """Doubt of a segmenter in each pixel, brighter for more."""
    n = number_of(space, request)
    size = one_of(request.query_params.get("size"), "size", SIZES, default="full")
    found = space.run(request.query_params.get("run", "")).doubt_map(space.row(n))
    if found is None:
        raise RequestError(404, f"image {n}: no doubt per pixel is known; predict it first")
    return encode_lossless(resized_grey(found, size))


def saliency(space: Workspace, request: Request) -> Picture:
    """What a classifier looked at, brighter for more."""
    n = number_of(space, request)
    size = one_of(request.query_params.get("size"), "size", SIZES, default="full")
    found = space.run(request.query_params.get("run", "")).saliency(space.pictures.pixels(space.row(n)))
    return encode_lossless(resized_grey(found, size))


def _two(column: Any) -> dict[str, int]:
    yes = int(column.sum())
    return {"yes": yes, "no": len(column) - yes}
