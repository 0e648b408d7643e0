"""The data set as columns: what the grid filters and sorts by, one number per image and property.

A hundred thousand images are a few megabytes, and a filter or a sort takes milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars
from numpy.typing import NDArray

from s4mi.data.manifest import Manifest
from s4mi.data.manifest_table import TableRows
from s4mi.data.row import PARTS, Row
from s4mi.records import Part

Bools = NDArray[np.bool_]
Codes = NDArray[np.int32]
UNASSIGNED = -1
"""Code of an image in no part of the split."""
UNLABELLED = 0
"""Code of images without labels."""


@dataclass(frozen=True)
class Labels:
    """Combinations of labels by code, and the code of each image.

    Attributes:
        combinations: distinct tuples of labels, the first for images without any.
        codes: (N,) index of each image's labels in `combinations`.
    """

    combinations: tuple[tuple[str, ...] | None, ...]
    codes: Codes

    @classmethod
    def of(cls, labels: Sequence[tuple[str, ...] | None]) -> "Labels":
        """Code the labels of N images; None: not annotated."""
        index: dict[tuple[str, ...] | None, int] = {None: UNLABELLED}
        codes = np.fromiter((index.setdefault(one, len(index)) for one in labels), dtype=np.int32, count=len(labels))
        return cls(tuple(index), codes)

    def any_of(self, names: Sequence[str]) -> Bools:
        """Whether each image has one of the labels; `""` stands for not annotated, `none` for no class."""
        wanted = [_matches(one, names) for one in self.combinations]
        return np.asarray(np.array(wanted)[self.codes], dtype=np.bool_)

    def counts(self, classes: Sequence[str]) -> dict[str, int]:
        """Number of images with each class, of those with no class (`none`) and without annotation (`""`)."""
        sizes = np.bincount(self.codes, minlength=len(self.combinations)).tolist()
        counts = dict.fromkeys(classes, 0)
        for one, size in zip(self.combinations, sizes, strict=True):
            for name in ("",) if one is None else one or ("none",):
                counts[name] = counts.get(name, 0) + size
        return counts


@dataclass(frozen=True)
class Columns:
    """Columns of the N images of a version of a data set, in the order of its manifest.

    Attributes:
        names: ids. parts: (N,) index in `PARTS`, or `UNASSIGNED`. groups: (N,) index in `group_names`, -1 without one.
        group_index: index of each of `group_names`.
        masked: (N,) whether an image has a mask.
        annotated: (N,) whether an image has every annotation that the tasks need, or any if there is no task.
    """

    names: polars.Series
    parts: NDArray[np.int8]
    labels: Labels
    groups: Codes
    group_names: tuple[str, ...]
    group_index: Mapping[str, int]
    masked: Bools
    annotated: Bools

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.names)

    def part(self, n: int) -> str:
        """Part of the split of an image, `unassigned` if it is in none."""
        code = int(self.parts[n])
        return "unassigned" if code == UNASSIGNED else PARTS[code]

    def group(self, n: int) -> str:
        """Patient of an image, or empty."""
        code = int(self.groups[n])
        return "" if code < 0 else self.group_names[code]

    def group_code(self, name: str) -> int:
        """Index of a patient, -2 if there is none of this name."""
        return self.group_index.get(name, -2)


def columns_of(manifest: Manifest, parts: Mapping[Part, Sequence[int]] | None = None) -> Columns:
    """Return the columns of a data set.

    Args:
        parts: rows by part of the split of a run, for a data set without official split.
    """
    rows: Sequence[Row] = manifest.rows
    if isinstance(rows, TableRows):
        frame = rows.frame
        names, masked = frame["id"], (frame["mask"] != "").to_numpy()
        codes = frame["split"].replace_strict(_CODE_OF_CELL, return_dtype=polars.Int8).to_numpy().copy()
        labels, (group_names, groups) = _labels_of_table(rows), _groups(frame["group"].to_list())
    else:
        names = polars.Series("id", [row.id for row in rows], dtype=polars.String)
        masked = np.fromiter((row.mask is not None for row in rows), dtype=np.bool_, count=len(rows))
        codes = np.fromiter((PART_CODES[row.split] for row in rows), dtype=np.int8, count=len(rows))
        labels = Labels.of([row.labels for row in rows])
        group_names, groups = _groups([row.group or "" for row in rows])
    if parts is not None and (codes == UNASSIGNED).all():
        for part, numbers in parts.items():
            codes[list(numbers)] = PARTS.index(part)
    labelled = labels.codes != UNLABELLED
    wanted = [masked if task == "segmentation" else labelled for task in manifest.spec.tasks]
    annotated = np.logical_and.reduce(wanted) if wanted else masked | labelled
    return Columns(
        names, codes, labels, groups, tuple(group_names), group_names, np.asarray(masked, dtype=np.bool_),
        np.asarray(annotated, dtype=np.bool_),
    )  # fmt: skip


PART_CODES: dict[Part | None, int] = {None: UNASSIGNED} | {part: code for code, part in enumerate(PARTS)}
_CODE_OF_CELL = {part or "": code for part, code in PART_CODES.items()}


def _groups(cells: Sequence[str]) -> tuple[dict[str, int], Codes]:
    """Code the groups of N images by the order of their first image; -1 for an empty cell."""
    index: dict[str, int] = {}
    codes = (index.setdefault(cell, len(index)) if cell else -1 for cell in cells)
    array = np.fromiter(codes, dtype=np.int32, count=len(cells))
    return index, array


def _labels_of_table(rows: TableRows) -> Labels:
    """Code the labels of the rows of a table by their cells; two cells may have the same labels."""
    cells = rows.frame["label"].to_list()
    combinations: dict[tuple[str, ...] | None, int] = {None: UNLABELLED}
    code_of = {cell: combinations.setdefault(labels, len(combinations)) for cell, labels in rows.labels.items()}
    codes = np.fromiter((code_of[cell] for cell in cells), dtype=np.int32, count=len(cells))
    return Labels(tuple(combinations), codes)


def _matches(labels: tuple[str, ...] | None, names: Sequence[str]) -> bool:
    if labels is None:
        return "" in names
    return any(name in names for name in labels or ("none",))
