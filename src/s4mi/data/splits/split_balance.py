"""How a split came out: counts of every class in every part and fraction, and how far they are from their share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import PARTS, Manifest
from s4mi.data.splits.split import SIZE_BINS, TOLERANCE
from s4mi.data.splits.split_file import Split


@dataclass(frozen=True)
class SplitBalance:
    """Counts by column: `train`, `val`, `test`, and each label fraction.

    Attributes:
        images, annotated, groups: by column. Images without a group are groups of their own.
        classes: by class and column, images that show it; for masks without labels, by size of the foreground.
        worst: greatest distance of a count from its share, in units of the most that one group holds of the class.
        worst_at: where that is, in words.
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
        """Whether every class is as near to its share as `split` promises."""
        return self.worst <= TOLERANCE


def split_balance(
    manifest: Manifest, split: Split, fractions: Mapping[str, Sequence[int]], traits: NDArray[np.float64]
) -> SplitBalance:
    """Count a split.

    Args:
        fractions: rows labelled at each fraction, by its name. traits: of `split.traits_of`.
    """
    members: dict[str, list[int]] = {part: list(split.rows(part)) for part in PARTS}
    members |= {name: list(rows) for name, rows in fractions.items()}
    shows, annotated = traits[:, :-1] > 0, traits[:, -1] == 0
    groups = [row.group or f"\0{row.id}" for row in manifest.rows]
    names = _names(manifest, shows.shape[1])
    worst, worst_at = _worst(members, shows, annotated, groups, names)
    return SplitBalance(
        columns=tuple(members),
        images={name: len(rows) for name, rows in members.items()},
        annotated={name: int(annotated[rows].sum()) for name, rows in members.items()},
        groups={name: len({groups[row] for row in rows}) for name, rows in members.items()},
        classes={
            label: {name: int(shows[rows, k].sum()) for name, rows in members.items()} for k, label in enumerate(names)
        },
        worst=worst,
        worst_at=worst_at,
    )


def _names(manifest: Manifest, count: int) -> tuple[str, ...]:
    if count == len(manifest.spec.classes):
        return manifest.spec.classes
    return tuple(f"mask size, part {number + 1} of {SIZE_BINS}" for number in range(count))


def _worst(
    members: Mapping[str, Sequence[int]],
    shows: NDArray[np.bool_],
    annotated: NDArray[np.bool_],
    groups: Sequence[str],
    names: Sequence[str],
) -> tuple[float, str]:
    """A part is held against all annotated images, a fraction against those of training."""
    worst, worst_at = 0.0, ""
    whole = np.flatnonzero(annotated)
    for k, label in enumerate(names):
        held = Counter(groups[row] for row in whole.tolist() if shows[row, k])
        if not held:
            continue
        unit = max(held.values())
        for name, rows in members.items():
            mine = [row for row in rows if annotated[row]]
            base = whole.tolist() if name in PARTS else [row for row in members["train"] if annotated[row]]
            if not base:
                continue
            share = int(shows[base, k].sum()) * len(mine) / len(base)
            off = abs(int(shows[mine, k].sum()) - share) / unit
            if off > worst:
                worst, worst_at = float(off), f"{label} in {name}"
    return worst, worst_at
