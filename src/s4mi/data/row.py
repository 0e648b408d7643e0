"""One row of a manifest: an image with its annotation, patient and part."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from s4mi.records import Part, TaskKind

MANIFEST_NAME = "manifest.csv"
COLUMNS = ("id", "image", "mask", "label", "group", "split")
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a manifest.

    Attributes:
        labels: classes present; None if not annotated, empty if annotated with no class present.
        unknown: of an annotated image, the classes of which it is not known whether it shows them (multi-label).
    """

    id: str
    image: Path
    mask: Path | None
    labels: tuple[str, ...] | None
    group: str | None
    split: Part | None
    line: int
    unknown: tuple[str, ...] = ()

    @property
    def location(self) -> str:
        """Location of this row for messages, `manifest.csv:line`."""
        return f"{MANIFEST_NAME}:{self.line}"

    def annotated(self, kind: TaskKind) -> bool:
        """Whether this row is annotated for the task `kind`."""
        return self.mask is not None if kind == "segmentation" else self.labels is not None
