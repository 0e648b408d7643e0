"""Count what a data set holds."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.data.checks.scan import RowScan, Size
from s4mi.data.manifest import PARTS


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
        frames: pages, frames and slices, where files hold several.
        classes_by_part: images showing each class on each official side.
        foreground_by_part: share of the annotated pixels that each mask class but the background covers there.
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
    frames: int
    classes_by_part: dict[str, dict[str, int]]
    foreground_by_part: dict[str, dict[str, float]]


def summarise(looks: Sequence[RowScan], classes: Sequence[str], *, mask_classes: Sequence[str]) -> Summary:
    """Count what was looked at."""
    rows = [look.row for look in looks]
    shown = Counter(name for row in rows for name in row.labels or ())
    groups = Counter(row.group for row in rows if row.group is not None)
    per_group = sorted(groups.values())
    labelled = sum(row.labels is not None for row in rows)
    splits: dict[str, int] = {part: count for part in PARTS if (count := sum(row.split == part for row in rows))}
    return Summary(
        images=len(rows),
        classes={name: shown[name] for name in classes},
        labelled=labelled,
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
        splits=splits,
        frames=sum(look.header.frames for look in looks if look.header is not None),
        classes_by_part={
            name: {part: sum(row.split == part and name in (row.labels or ()) for row in rows) for part in splits}
            for name in (classes if labelled else ())
        },
        foreground_by_part={
            part: _foreground([look for look in looks if look.row.split == part], mask_classes) for part in splits
        },
    )


def _sizes(sizes: Sequence[Size]) -> Sizes | None:
    if not sizes:
        return None
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return Sizes(len(set(sizes)), smallest=by_area[0], median=by_area[len(by_area) // 2], largest=by_area[-1])


def _foreground(looks: Sequence[RowScan], mask_classes: Sequence[str]) -> dict[str, float]:
    counts = [look.pixels for look in looks if look.pixels is not None]
    total = sum(map(sum, counts))
    if not total:
        return {}
    return {
        name: sum(pixels[index] for pixels in counts) / total for index, name in enumerate(mask_classes) if index > 0
    }
