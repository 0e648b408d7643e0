"""Decode every image and mask of a data set and count what is there; what cannot be decoded becomes a finding."""

import hashlib
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from s4mi.data.formats.frame import ImageError
from s4mi.data.images import image_size, read_image
from s4mi.data.manifest import PARTS, Row
from s4mi.data.masks import read_mask
from s4mi.data.parallel import in_parallel
from s4mi.data.spec import Finding, MaskKey, Severity
from s4mi.records import IGNORE

Size = tuple[int, int]
Progress = Callable[[int, int], None]
Place = Callable[[Row], tuple[str, int | None]]
"""Where a finding about a row points: file and line."""


@dataclass(frozen=True)
class Sizes:
    """Image sizes as (height, width): how many differ, and the ones of least, middle and greatest area."""

    distinct: int
    smallest: Size
    median: Size
    largest: Size


@dataclass(frozen=True)
class Summary:
    """What a data set holds, counted over the rows without a fault in the manifest.

    Attributes:
        classes: images showing each class.
        labelled: images with a label; `no_class` of them are annotated with no class present.
        masked: images with a mask.
        unannotated: images with neither.
        sizes: of the images that can be decoded.
        channels: how many images are grey and how many have colours.
        foreground: share of the annotated pixels that each mask class but the background covers.
        groups: patients or lesions; `ungrouped` images have none.
        images_per_group: least, median and greatest number.
        splits: images on each official side.
    """

    images: int
    classes: dict[str, int]
    labelled: int
    no_class: int
    masked: int
    unannotated: int
    sizes: Sizes | None
    channels: dict[str, int]
    foreground: dict[str, float]
    groups: int
    ungrouped: int
    images_per_group: tuple[int, float, int] | None
    splits: dict[str, int]


@dataclass(frozen=True)
class Look:
    """One row with its files decoded; what could not be decoded is None."""

    row: Row
    size: Size | None = None
    grey: bool = False
    digest: bytes | None = None
    pixels: tuple[int, ...] | None = None
    """Mask pixels of each class, `IGNORE` left out."""
    findings: tuple[Finding, ...] = ()


def look_at_all(
    rows: Sequence[Row], root: Path, *, place: Place, mask_values: Mapping[MaskKey, str], say: Progress
) -> list[Look]:
    look = partial(_look, root=root, place=place, mask_values=mask_values)
    return list(in_parallel(look, rows, say=say))


def _look(row: Row, *, root: Path, place: Place, mask_values: Mapping[MaskKey, str]) -> Look:
    findings: list[Finding] = []

    def say(code: str, message: str, severity: Severity = "error") -> None:
        file, line = place(row)
        rows = () if line is None else (line,)
        findings.append(Finding(code=code, severity=severity, file=file, line=line, message=message, rows=rows))

    look = Look(row)
    try:
        pixels = read_image(row.image)
        look = replace(
            look,
            size=(pixels.shape[0], pixels.shape[1]),
            grey=bool((pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 1] == pixels[:, :, 2]).all()),
            digest=hashlib.blake2b(row.image.read_bytes(), digest_size=16).digest(),
        )
    except ImageError as error:
        say(error.code, f"image {shown(row.image, root)!r} {error}")
    if row.mask is not None and mask_values:
        name = f"mask {shown(row.mask, root)!r}"
        size = None
        try:
            mask = read_mask(row.mask, mask_values)
            size = (mask.shape[0], mask.shape[1])
            counts = np.bincount(mask.ravel(), minlength=256)[:IGNORE]
            look = replace(look, pixels=tuple(int(count) for count in counts))
            if not counts[1:].any():
                say("empty-mask", f"{name} shows only background; right if there is nothing to see, else re-export it",
                    "warning")  # fmt: skip
        except ImageError as error:
            say(error.code, f"{name} {error}")
            size = image_size(row.mask) if error.code == "mask-value" else None
        if size and look.size and size != look.size:
            message = f"{name} is {times(size)} but its image is {times(look.size)}"
            say("mask-size", f"{message}; re-export the mask at the image's size")
    return replace(look, findings=tuple(findings))


def summarise(looks: Sequence[Look], classes: Sequence[str], *, mask_classes: Sequence[str]) -> Summary:
    """Count what was looked at."""
    rows = [look.row for look in looks]
    shown = Counter(name for row in rows for name in row.labels or ())
    groups = Counter(row.group for row in rows if row.group is not None)
    per_group = sorted(groups.values())
    return Summary(
        images=len(rows),
        classes={name: shown[name] for name in classes},
        labelled=sum(row.labels is not None for row in rows),
        no_class=sum(row.labels == () for row in rows),
        masked=sum(row.mask is not None for row in rows),
        unannotated=sum(row.labels is None and row.mask is None for row in rows),
        sizes=_sizes([look.size for look in looks if look.size is not None]),
        channels={
            "grey": sum(look.size is not None and look.grey for look in looks),
            "colour": sum(look.size is not None and not look.grey for look in looks),
        },
        foreground=_foreground(looks, mask_classes),
        groups=len(groups),
        ungrouped=sum(row.group is None for row in rows),
        images_per_group=(per_group[0], statistics.median(per_group), per_group[-1]) if per_group else None,
        splits={part: count for part in PARTS if (count := sum(row.split == part for row in rows))},
    )


def shown(path: Path, root: Path) -> str:
    """`path` as a message names it: from `root` where it lies below."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _sizes(sizes: Sequence[Size]) -> Sizes | None:
    if not sizes:
        return None
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return Sizes(len(set(sizes)), smallest=by_area[0], median=by_area[len(by_area) // 2], largest=by_area[-1])


def _foreground(looks: Sequence[Look], mask_classes: Sequence[str]) -> dict[str, float]:
    counts = [look.pixels for look in looks if look.pixels is not None]
    total = sum(map(sum, counts))
    if not total:
        return {}
    return {
        name: sum(pixels[index] for pixels in counts) / total for index, name in enumerate(mask_classes) if index > 0
    }


def times(size: Size) -> str:
    """Height × width, for a message."""
    return f"{size[0]}×{size[1]}"
