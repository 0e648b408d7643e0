"""The options of an import that are about masks: refused, or reported, where there are no masks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from s4mi.data.sources.types import FoundDataset

FOREGROUND = "foreground"
"""Class of the only value beside 0 in masks, unless an option says otherwise."""


class MaskSettings(Protocol):
    """What the options about masks were set to (`import_options.py`)."""

    @property
    def foreground(self) -> str: ...
    @property
    def mask_value(self) -> Sequence[str] | None: ...
    @property
    def mask_threshold(self) -> int | None: ...
    @property
    def mask_nonzero(self) -> str: ...
    @property
    def image_affine(self) -> bool: ...


def mask_options(shared: MaskSettings, *, foreground: str = FOREGROUND) -> dict[str, object]:
    """Return the options about masks by name, empty where they were not given.

    Args:
        foreground: what `--foreground` is if it is not given.
    """
    return {
        "--foreground": "" if shared.foreground == foreground else shared.foreground,
        "--mask-value": ", ".join(shared.mask_value or ()),
        "--mask-threshold": shared.mask_threshold,
        "--mask-nonzero": shared.mask_nonzero,
        "--image-affine": shared.image_affine,
    }


def report_unused(found: "FoundDataset", shared: MaskSettings) -> "FoundDataset":
    """Return a found data set with a warning if it has no masks but options about them, of which writing says nothing.

    Writing warns of `--mask-value`, `--mask-threshold` and `--mask-nonzero` (`mask_value_places.py`).
    """
    from s4mi.data.spec import Finding

    given = mask_options(shared)
    unused = [option for option in ("--foreground", "--image-affine") if given[option]]
    if not unused or any(row.mask is not None for row in found.rows):
        return found
    have = "have" if unused[1:] else "has"
    message = f"no image has a mask, so {' and '.join(unused)} {have} no effect; check where the masks are"
    return replace(found, findings=(*found.findings, Finding("mask-value-absent", "warning", ".", None, message)))
