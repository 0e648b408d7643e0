"""Balance of a split: counts of every class in every part and label fraction, and their deviation from the share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS
from s4mi.data.splits.split_file import Split
from s4mi.data.splits.stratification import SIZE_BINS, TOLERANCE


@dataclass(frozen=True)
class SplitBalance:
    """Counts by column: `train`, `val`, `test`, and each label fraction.

    Attributes:
        images, annotated, groups: counts by column; an image without a group counts as a group.
        classes: number of images of each class by column; by foreground size for masks without labels.
        worst: greatest deviation of a count from its share, in units of the most images of the class in one group.
        worst_at: class and column of that deviation, e.g. `melanoma in test`.
    """

    columns: tuple[str, ...]
    images: Mapping[str, int]
    annotated: Mapping[str, int]
    groups: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]]
    worst: float
    worst_at: str

    @property
    def within_tolerance(self) -> bool:
        """Whether every class is as close to its share as `stratification` guarantees."""
        return self.worst <= TOLERANCE


def split_balance(
    manifest: Manifest, split: Split, fractions: Mapping[str, Sequence[int]], strata: NDArray[np.float64]
) -> SplitBalance:
    """Compute the balance of a split.

    Args:
        fractions: labelled rows of each label fraction, by its name.
        strata: result of `strata_of`.
    """
    rows_of: dict[str, list[int]] = {part: list(split.rows(part)) for part in PARTS}
    rows_of |= {name: list(rows) for name, rows in fractions.items()}
    present, annotated = strata[:, :-1] > 0, strata[:, -1] == 0
    groups = [row.group or f"\0{row.id}" for row in manifest.rows]
    names = _class_names(manifest, present.shape[1])
    worst, worst_at = _worst_deviation(rows_of, present, annotated, groups, names)
    return SplitBalance(
        columns=tuple(rows_of),
        images={name: len(rows) for name, rows in rows_of.items()},
        annotated={name: int(annotated[rows].sum()) for name, rows in rows_of.items()},
        groups={name: len({groups[row] for row in rows}) for name, rows in rows_of.items()},
        classes={
            label: {name: int(present[rows, k].sum()) for name, rows in rows_of.items()}
            for k, label in enumerate(names)
        },
        worst=worst,
        worst_at=worst_at,
    )


def _class_names(manifest: Manifest, count: int) -> tuple[str, ...]:
    if count == len(manifest.spec.classes):
        return manifest.spec.classes
    return tuple(f"foreground size, bin {number + 1} of {SIZE_BINS}" for number in range(count))


def _worst_deviation(
    rows_of: Mapping[str, Sequence[int]],
    present: NDArray[np.bool_],
    annotated: NDArray[np.bool_],
    groups: Sequence[str],
    names: Sequence[str],
) -> tuple[float, str]:
    """Compare parts with all annotated images, and label fractions with those of the training set."""
    worst, worst_at = 0.0, ""
    all_annotated = np.flatnonzero(annotated)
    code_of: dict[str, int] = {}
    codes = np.array([code_of.setdefault(group, len(code_of)) for group in groups], dtype=np.int64)
    counted_of = {name: (of := np.asarray(rows, dtype=np.int64))[annotated[of]] for name, rows in rows_of.items()}
    for k, label in enumerate(names):
        per_group = np.bincount(codes[all_annotated[present[all_annotated, k]]])
        if not per_group.any():
            continue
        unit = int(per_group.max())
        for name, counted in counted_of.items():
            base = all_annotated if name in PARTS else counted_of["train"]
            if not len(base):
                continue
            share = int(present[base, k].sum()) * len(counted) / len(base)
            deviation = abs(int(present[counted, k].sum()) - share) / unit
            if deviation > worst:
                worst, worst_at = float(deviation), f"{label} in {name}"
    return worst, worst_at
