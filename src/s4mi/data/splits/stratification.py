"""Stratified order of groups, of which every prefix has the class distribution of the whole.

The order is grown greedily: the next group is the one that best brings the counts of all strata (classes, unannotated
images and groups) to their shares, as in iterative stratification (Sechidis et al. 2011), but by group and at all
lengths at once, apart from some randomness. Parts, folds and label fractions are consecutive stretches of such orders.

`TOLERANCE` is tested: in each part, fold and fraction, the count of a class deviates from its share by at most that
many times the greatest number of images of the class in one group.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.records import TaskKind

SIZE_BINS = 4
"""Images with masks and no labels are stratified by foreground share, in this many equally filled bins."""
TOLERANCE = 3.0
"""Multiple of the greatest number of images of a class in one group (1 without groups)."""


def strata_of(manifest: Manifest, kind: TaskKind, foreground: Sequence[float] | None) -> NDArray[np.float64]:
    """Return (R, D) counts to stratify by: one column per class or foreground bin, and one for unannotated images.

    Args:
        foreground: foreground share of the mask of each row, used if there are no labels.
    """
    annotated = np.array([row.annotated(kind) for row in manifest.rows])
    by_label = all(row.labels is not None for row in manifest.rows if row.annotated(kind)) and manifest.spec.classes
    if by_label:
        kinds: dict[tuple[str, ...] | None, int] = {}
        kind_of = [kinds.setdefault(row.labels, len(kinds)) for row in manifest.rows]
        present = [[name in (labels or ()) for name in manifest.spec.classes] for labels in kinds]
        columns = np.array(present, dtype=np.float64)[kind_of]
    elif foreground is not None and annotated.any():
        shares = np.asarray(foreground)
        columns = size_strata(shares, among=shares[annotated])
    else:
        columns = np.zeros((len(manifest.rows), 0))
    return np.column_stack([columns * annotated[:, None], ~annotated])


def size_strata(foreground: NDArray[np.float64], *, among: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R,) foreground shares → (R, `SIZE_BINS`) one-hot bins, whose edges are the quantiles of `among`."""
    edges = np.quantile(among, np.linspace(0, 1, SIZE_BINS + 1)[1:-1])
    return np.asarray(np.eye(SIZE_BINS)[np.searchsorted(edges, foreground, side="right")], dtype=np.float64)


def group_rows(manifest: Manifest, rows: Sequence[int] | range) -> list[list[int]]:
    """Group rows that must stay together, sorted by id, so that the order of the manifest does not matter."""
    groups: dict[str, list[int]] = {}
    found: list[list[int]] = []
    for _, number in sorted([(manifest.rows[number].id, number) for number in rows]):
        group = manifest.rows[number].group
        own = groups.get(group) if group else None
        if own is None:
            found.append(own := [])
            if group:
                groups[group] = own
        own.append(number)
    return found


def stratified_order(
    groups: Sequence[list[int]], strata: NDArray[np.float64], generator: np.random.Generator
) -> list[list[int]]:
    """Order groups so that every prefix contains each stratum, and groups as such, in proportion to its images."""
    if not groups:
        return []
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    counts = np.column_stack([sums_of(groups, strata), np.ones(len(groups))])
    # Groups of the same size and counts are interchangeable: only one of each kind has to be compared.
    kinds, kind_of = np.unique(np.column_stack([sizes, counts]), axis=0, return_inverse=True)
    remaining = _shuffled(kind_of.ravel(), len(kinds), generator)
    share = counts.sum(axis=0) / sizes.sum()
    # Change of each count's deviation from its share when a group of a kind is added; rare strata have more weight.
    change = (kinds[:, 1:] - kinds[:, :1] * share) / np.sqrt(np.maximum(share, 1e-12))
    length = np.square(change).sum(axis=1)
    # A random threshold of the deviation delays each kind, so that groups of a rare kind occur anywhere in the order;
    # otherwise a group of unique composition would always be in the middle.
    threshold = 2 * length * generator.random(len(kinds))
    deviation = np.zeros(change.shape[1])
    order: list[list[int]] = []
    for _ in groups:
        best = int((threshold + 2 * (change @ deviation)).argmin())
        order.append(groups[remaining[best].pop()])
        deviation += change[best]
        threshold[best] = 2 * length[best] * generator.random() if remaining[best] else np.inf
    return order


def sums_of(groups: Sequence[Sequence[int]], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G, D) sums of the (R, D) values of the rows of each group; groups are not empty."""
    if not groups:
        return np.zeros((0, *values.shape[1:]))
    rows = np.fromiter((row for group in groups for row in group), dtype=np.int64)
    starts = np.cumsum([0, *map(len, groups[:-1])])
    return np.add.reduceat(values[rows], starts, axis=0)


def first_rows(order: Sequence[list[int]], target: int) -> list[int]:
    """Return the rows of the first groups, at least one, whose number is closest to `target`."""
    rows: list[int] = []
    for group in order:
        if rows and len(rows) + len(group) / 2 > target:
            break
        rows.extend(group)
    return rows


def groups_in(order: Sequence[list[int]], rows: int) -> int:
    """Return the number of groups that the first `rows` rows of `order` consist of."""
    return int(np.searchsorted(np.cumsum([len(group) for group in order]), rows, side="left")) + 1 if rows else 0


def _shuffled(kind_of: NDArray[np.intp], kinds: int, generator: np.random.Generator) -> list[list[int]]:
    """Return the indices of the groups of each kind, in random order."""
    indices: list[list[int]] = [[] for _ in range(kinds)]
    for index in generator.permutation(len(kind_of)):
        indices[kind_of[index]].append(int(index))
    return indices
