"""A change of an annotation: what it replaced and by what, so that it can be undone and redone after a restart."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from s4mi.data.formats.intensity import Pixels
from s4mi.errors import S4miError

MaskKind = Literal["none", "truth", "prediction", "edited"]
Size = tuple[int, int]


@dataclass(frozen=True)
class Patch:
    """A rectangle of a mask: position, size, and its class indices, compressed."""

    x: int
    y: int
    width: int
    height: int
    packed: bytes

    @classmethod
    def of(cls, classes: Pixels, x: int = 0, y: int = 0) -> "Patch":
        """Pack class indices (h, w) whose first pixel is at x, y."""
        return cls(x, y, classes.shape[1], classes.shape[0], zlib.compress(np.ascontiguousarray(classes).tobytes(), 1))

    def pixels(self) -> Pixels:
        """The class indices, (height, width) uint8, read-only.

        Raises:
            S4miError: the bytes are no such rectangle.
        """
        try:
            flat = np.frombuffer(zlib.decompress(self.packed), dtype=np.uint8)
            return flat.reshape(self.height, self.width)
        except (zlib.error, ValueError) as error:
            raise S4miError(f"the journal of annotations: damaged pixels of a mask ({error}); restore it") from error

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width and height."""
        return self.x, self.y, self.width, self.height


@dataclass(frozen=True)
class Annotated:
    """Annotation of an image that is not merged yet.

    Attributes:
        labels: classes; None: not changed.
        mask: what the mask began with or became; `none`: not changed.
        empty: whether the answer is that there is only background.
        skip: why the image is skipped, maybe nothing; None: it is not.
    """

    labels: tuple[str, ...] | None = None
    mask: MaskKind = "none"
    empty: bool = False
    skip: str | None = None

    @property
    def changed(self) -> bool:
        """Whether there is anything to merge or to remember."""
        return self.labels is not None or self.masked or self.skip is not None

    @property
    def masked(self) -> bool:
        """Whether the mask is an answer; one that is only that of the data set is none."""
        return self.empty or self.mask in ("prediction", "edited")


@dataclass(frozen=True)
class Change:
    """One step of the history of an image.

    Attributes:
        before, after: the annotation without the pixels of its mask.
        old, new: pixels of the mask that it replaced and put: a rectangle, or the whole mask; None where there was or
            is no edited mask.
        whole: whether `old` and `new` are whole masks, so that `old` may be missing.
    """

    before: Annotated
    after: Annotated
    old: Patch | None = None
    new: Patch | None = None
    whole: bool = False
    by: str = ""

    @property
    def touches_mask(self) -> bool:
        """Whether pixels of the mask change."""
        return self.whole or self.new is not None


def to_json(change: Change) -> dict[str, Any]:
    """Return a change as the keys of a journal entry."""
    entry: dict[str, Any] = {"before": _annotated_json(change.before), "after": _annotated_json(change.after)}
    if change.touches_mask:
        box = change.new or change.old
        entry["box"] = None if box is None else box.box
        entry["whole"] = change.whole
        entry["old"], entry["new"] = _packed(change.old), _packed(change.new)
    return entry


def from_json(entry: Mapping[str, Any]) -> Change:
    """Read a change from the keys of a journal entry.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    box = entry.get("box")
    return Change(
        _read_annotated(entry["before"]), _read_annotated(entry["after"]), _patch(box, entry.get("old")),
        _patch(box, entry.get("new")), bool(entry.get("whole", False)), str(entry.get("by", "")),
    )  # fmt: skip


def _annotated_json(one: Annotated) -> dict[str, Any]:
    return {
        "labels": None if one.labels is None else list(one.labels), "mask": one.mask, "empty": one.empty,
        "skip": one.skip,
    }  # fmt: skip


def _read_annotated(contents: Mapping[str, Any]) -> Annotated:
    labels, mask, skip = contents["labels"], contents["mask"], contents["skip"]
    if mask not in get_args(MaskKind) or not isinstance(skip, str | None):
        raise ValueError(f"mask {mask!r}, skip {skip!r}")
    return Annotated(None if labels is None else tuple(map(str, labels)), mask, bool(contents["empty"]), skip)


def _packed(patch: Patch | None) -> str | None:
    return None if patch is None else base64.b64encode(patch.packed).decode("ascii")


def _patch(box: Any, packed: str | None) -> Patch | None:
    if packed is None or box is None:
        return None
    x, y, width, height = map(int, box)
    if x < 0 or y < 0 or width < 1 or height < 1:
        raise ValueError(f"box {box}")
    return Patch(x, y, width, height, base64.b64decode(packed))
