"""One budget of labels: what a run chooses with is held out of the labels that it counts.

    pool        every image outside the test part
    labels      the first n of the order in which growing label fractions include the pool
    held out    whole patients of the n labels, about a given share, which training never sees

Which labels are held out depends on the n labels alone. None are if they are too few: the held-out ones must show every
class that the labels show (multi-class), a class with and without it (multi-label) or foreground (masks), and training
must keep every class. Then there is no choice, and the last epoch counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.data.splits.stratification import group_rows, size_strata, stratified_order
from s4mi.records import Part, TaskKind

MOST: Final = 2.0
"""Multiple of the wanted number of images that are held out at most, so that each class has one."""


@dataclass(frozen=True)
class LabelBudget:
    """The labels of a run come out of all images outside the test part.

    Attributes:
        hold_out: share of the labels that are held out; 0: none.
        shows: (R, K) bool, classes that each row shows; needed if labels are held out.
        foreground: foreground share of the mask of each row; None for classification.
    """

    hold_out: float = 0.0
    shows: NDArray[np.bool_] | None = None
    foreground: Sequence[float] | None = None


def pooled(parts: dict[Part, tuple[int, ...]]) -> dict[Part, tuple[int, ...]]:
    """Return the parts with validation moved to training."""
    return {"train": tuple(sorted((*parts["train"], *parts["val"]))), "val": (), "test": parts["test"]}


def held_out(
    manifest: Manifest, kind: TaskKind, labelled: Sequence[int], budget: LabelBudget, *, seed: int
) -> tuple[int, ...]:
    """Return the labelled rows that are held out, ascending; none if the labels are too few.

    Args:
        seed: seed of their order.
    """
    wanted = round(len(labelled) * budget.hold_out)
    if not wanted:
        return ()
    assert budget.shows is not None
    shows = budget.shows if kind != "segmentation" else budget.shows[:, 1:]  # the first class is the background
    strata = np.zeros((len(shows), 1))
    if kind == "segmentation" and budget.foreground is not None:
        foreground = np.asarray(budget.foreground)
        bins = size_strata(foreground, among=foreground[list(labelled)])
        strata = np.column_stack([bins, np.zeros(len(bins))])
    elif kind != "segmentation":
        strata = np.column_stack([shows, np.zeros(len(shows))]).astype(np.float64)
    order = stratified_order(group_rows(manifest, labelled), strata, np.random.default_rng([seed, 3]))
    chosen = _chosen(order, shows, wanted, every_class=kind == "multiclass")
    rows = sorted(row for group in chosen for row in group)
    if not rows or len(rows) > MOST * wanted or not _suffice(shows[rows], shows[list(labelled)], kind):
        return ()
    return tuple(rows)


def without_patients(
    manifest: Manifest, train: Sequence[int], rows: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Divide training rows into those of other patients than `rows`, and all of their patients."""
    groups = {manifest.rows[row].group for row in rows} - {None}
    taken = {*rows} | {row for row in train if manifest.rows[row].group in groups}
    return tuple(row for row in train if row not in taken), tuple(sorted(taken))


def _chosen(order: Sequence[list[int]], shows: NDArray[np.bool_], wanted: int, *, every_class: bool) -> list[list[int]]:
    """Return the first groups that training can spare, about `wanted` rows, and then one for each class not shown."""
    left = np.array([shows[group].any(axis=0) for group in order], dtype=np.bool_).reshape(len(order), shows.shape[1])
    remaining: NDArray[np.int64] = left.sum(axis=0)  # groups in training that show each class
    chosen: dict[int, None] = {}
    rows = 0

    def spares(number: int) -> bool:
        own = left[number]
        return number not in chosen and len(chosen) + 1 < len(order) and bool((remaining[own] > 1).all())

    def take(number: int) -> None:
        nonlocal rows, remaining
        chosen[number] = None
        rows += len(order[number])
        remaining = remaining - left[number]

    for number in range(len(order)):
        if rows + len(order[number]) / 2 <= wanted and spares(number):
            take(number)
    for k in np.flatnonzero(remaining) if every_class else ():
        if not any(left[number, k] for number in chosen):
            smallest = min(
                (n for n in np.flatnonzero(left[:, k]).tolist() if spares(n)), key=lambda n: len(order[n]), default=None
            )
            if smallest is not None:
                take(smallest)
    return [order[number] for number in chosen]


def _suffice(held: NDArray[np.bool_], labelled: NDArray[np.bool_], kind: TaskKind) -> bool:
    """Whether held-out rows can judge a run that was trained on the other ones."""
    if kind == "multiclass":
        return bool((held.any(axis=0) == labelled.any(axis=0)).all()) and held.any(axis=0).sum() > 1
    if kind == "multilabel":
        return bool((held.any(axis=0) & ~held.all(axis=0)).any())
    return bool(held.any())
