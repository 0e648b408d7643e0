"""The official split of a data set; where it has no validation part, one is drawn from its training part.

Many challenges publish a training and a test part alone. Whole groups go to validation, stratified like a random split,
and the test part stays as it is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.data.row import PARTS, Row
from s4mi.data.splits.stratification import first_rows, group_rows, stratified_order
from s4mi.errors import S4miError
from s4mi.records import Part

NO_VAL = (
    "the official split has no validation part, so runs take an eighth of the training part for it, by whole patients; "
    "the test part stays as it is"
)


def official_parts(manifest: Manifest) -> dict[Part, tuple[int, ...]]:
    """Return the rows of each part by the column `split`.

    Raises:
        S4miError: a row has no part.
    """
    missing = next((row for row in manifest.rows if row.split is None), None)
    if missing is not None:
        raise S4miError(
            f"{manifest.folder / missing.location}: no split given, but split.kind=official requires one in every row; "
            "fill the column `split`, or use split.kind=random"
        )
    return {
        part: tuple(number for number, row in enumerate(manifest.rows) if row.split == part) for part in PARTS
    }  # fmt: skip


def lacks_val(rows: Sequence[Row]) -> bool:
    """Whether the rows have an official split with a training and a test part, but no validation part."""
    return {row.split for row in rows} == {"train", "test"}


def draw_val(manifest: Manifest, strata: NDArray[np.float64], *, share: float, seed: int) -> tuple[int, ...]:
    """Return the rows of the training part that become validation: whole groups of annotated images.

    Empty if the training part has fewer than two such groups.

    Args:
        strata: as `strata_of` returns them.
        share: share of the annotated training images.
    """
    groups = group_rows(manifest, official_parts(manifest)["train"])
    annotated = [group for group in groups if not strata[group, -1].all()]
    if len(annotated) < 2:
        return ()
    order = stratified_order(annotated, strata, np.random.default_rng([seed, 2]))
    return tuple(sorted(first_rows(order, max(1, round(sum(map(len, order)) * share)))))
