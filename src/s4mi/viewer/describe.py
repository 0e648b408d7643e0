"""Images and annotations as the page reads them."""

import time
from typing import TYPE_CHECKING, Any

from s4mi.data.formats.frame import ImageError
from s4mi.viewer.changes import Annotated
from s4mi.viewer.pictures import WindowRange
from s4mi.viewer.workspace import Workspace

if TYPE_CHECKING:
    from s4mi.viewer.runs import ViewRun

SIZE_SECONDS = 0.05
"""Time that one grid may spend on reading the sizes of images from their headers."""


def item_of(space: Workspace, n: int, run: "ViewRun | None", deadline: float | None = None) -> dict[str, Any]:
    """An image as the grid shows it; its size is null while it is not known."""
    columns, now = space.columns, space.annotations.history(n).current
    labels = columns.labels.combinations[int(columns.labels.codes[n])]
    height, width = _size(space, n, deadline)
    return {
        "n": n, "name": columns.names[n], "part": columns.part(n), "labels": list(labels or ()),
        "labelled": labels is not None, "annotated": bool(columns.annotated[n]), "mask": bool(columns.masked[n]),
        "prediction": None if run is None else run.summary(n), "group": columns.group(n),
        "rank": int(space.ranks[n]) or None, "changed": now.changed,
        "answer": answer_json(now) if now.changed else None,
        "skipped": now.skip is not None,
        "duplicates": len(space.duplicates.get(n, ())), "width": width, "height": height,
    }  # fmt: skip


def answer_json(now: Annotated) -> dict[str, Any]:
    """What was answered, as far as it is not merged."""
    return {"labels": None if now.labels is None else list(now.labels), "mask": now.mask, "empty": now.empty}


def annotation_json(space: Workspace, n: int) -> dict[str, Any]:
    """The annotation of an image that is not merged, and where its history stands."""
    history = space.annotations.history(n)
    now = history.current
    return {
        "revision": history.revision, "labels": None if now.labels is None else list(now.labels), "mask": now.mask,
        "empty": now.empty, "skip": now.skip, "can_undo": history.can_undo, "can_redo": history.can_redo,
        "by": history.by,
    }  # fmt: skip


def counts_of(space: Workspace) -> dict[str, int]:
    """How many images have labels, masks or answers of background only that are not merged, or are skipped."""
    counts = dict.fromkeys(("labels", "masks", "empty", "skipped"), 0)
    for one in space.annotations.changed().values():
        if one.skip is not None:
            counts["skipped"] += 1
            continue
        counts["labels"] += one.labels is not None
        counts["empty"] += one.empty
        counts["masks"] += one.mask in ("prediction", "edited") and not one.empty
    return counts


def window_json(window: WindowRange | None) -> dict[str, Any] | None:
    """The window of an image of more than 8 bits."""
    if window is None:
        return None
    return {
        "bits": window.bits, "low": window.low, "high": window.high, "min": window.least, "max": window.most
    }  # fmt: skip


def size_deadline() -> float:
    """Until when a grid may read sizes."""
    return time.monotonic() + SIZE_SECONDS


def _size(space: Workspace, n: int, deadline: float | None) -> tuple[int | None, int | None]:
    if not space.sizes[n].any() and deadline is not None and time.monotonic() > deadline:
        return None, None
    try:
        return space.size(n)
    except ImageError:
        return None, None
