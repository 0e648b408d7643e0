"""Summary statistics of a data set."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from s4mi.data.checks.scan import RowScan, Size
from s4mi.data.row import PARTS


@dataclass(frozen=True)
class Sizes:
    """Image sizes as (height, width): number of distinct sizes, and those of smallest, median and largest area."""

    distinct: int
    smallest: Size
    median: Size
    largest: Size


@dataclass(frozen=True)
class Summary:
    """Statistics of a data set, over the rows without an error in the manifest.

    Attributes:
        classes: number of images of each class.
        labelled: number of images with a label, of which `no_class` are annotated with no class present.
        masked: number of images with a mask.
        unknown: number of labelled images of which it is not known whether they show a class, by class.
        unannotated: number of images with neither.
        sizes: sizes of the images that can be decoded.
        channels: number of grey and of colour images.
        foreground: share of each mask class except the background among all annotated pixels.
        groups: number of patients or lesions; `ungrouped` images have none.
        images_per_group: minimum, median and maximum.
        splits: number of images in each part of the official split.
        frames: total number of pages, frames and slices.
        classes_by_part: number of images of each class in each part of the official split.
        foreground_by_part: `foreground` in each part of the official split.
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
    unknown: dict[str, int] = field(default_factory=dict)


def summarise(scans: Sequence[RowScan], classes: Sequence[str], *, mask_classes: Sequence[str]) -> Summary:
    """Summarise scanned rows."""
    rows = [scan.row for scan in scans]
    counts = Counter(name for row in rows for name in row.labels or ())
    groups = Counter(row.group for row in rows if row.group is not None)
    per_group = sorted(groups.values())
    labelled = sum(row.labels is not None for row in rows)
    splits: dict[str, int] = {part: count for part in PARTS if (count := sum(row.split == part for row in rows))}
    return Summary(
        images=len(rows),
        classes={name: counts[name] for name in classes},
        labelled=labelled,
        no_class=sum(row.labels == () and not row.unknown for row in rows),
        masked=sum(row.mask is not None for row in rows),
        unannotated=sum(row.labels is None and row.mask is None for row in rows),
        sizes=_sizes([scan.size for scan in scans if scan.size is not None]),
        channels={
            "grey": sum(scan.size is not None and scan.grey for scan in scans),
            "colour": sum(scan.size is not None and not scan.grey for scan in scans),
        },
        foreground=_foreground(scans, mask_classes),
        groups=len(groups),
        ungrouped=sum(row.group is None for row in rows),
        images_per_group=(per_group[0], statistics.median(per_group), per_group[-1]) if per_group else None,
        splits=splits,
        frames=sum(scan.header.frames for scan in scans if scan.header is not None),
        classes_by_part={
            name: {part: sum(row.split == part and name in (row.labels or ()) for row in rows) for part in splits}
            for name in (classes if labelled else ())
        },
        foreground_by_part={
            part: _foreground([scan for scan in scans if scan.row.split == part], mask_classes) for part in splits
        },
        unknown={name: count for name in classes if (count := sum(name in row.unknown for row in rows))},
    )


def _sizes(sizes: Sequence[Size]) -> Sizes | None:
    if not sizes:
        return None
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return Sizes(len(set(sizes)), smallest=by_area[0], median=by_area[len(by_area) // 2], largest=by_area[-1])


def _foreground(scans: Sequence[RowScan], mask_classes: Sequence[str]) -> dict[str, float]:
    counts = [scan.pixels for scan in scans if scan.pixels is not None]
    total = sum(map(sum, counts))
    if not total:
        return {}
    return {
        name: sum(pixels[index] for pixels in counts) / total for index, name in enumerate(mask_classes) if index > 0
    }
