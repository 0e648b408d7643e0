"""Manifests with the places of erased images, numbered on from the rows, from which a split is drawn.

Drawn with them, everybody else is where they were before the erasure; the places themselves are then left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from s4mi.data.erased import ErasedImage
from s4mi.data.manifest import Manifest
from s4mi.data.splits.label_budget import LabelBudget
from s4mi.records import TaskKind


def with_erased(manifest: Manifest) -> Manifest:
    """Return the manifest with a row for each erased image, after all others."""
    if not manifest.erased:
        return manifest
    return replace(manifest, rows=(*manifest.rows, *(image.row for image in _places(manifest))), erased=())


def shares_with_erased(manifest: Manifest, foreground: Sequence[float] | None) -> Sequence[float] | None:
    """Return the foreground share of each row of `with_erased(manifest)`."""
    if foreground is None or not manifest.erased:
        return foreground
    return [*foreground, *(image.foreground for image in _places(manifest))]


def budget_with_erased(manifest: Manifest, kind: TaskKind, budget: LabelBudget | None) -> LabelBudget | None:
    """Return the label budget for the rows of `with_erased(manifest)`."""
    if budget is None or not manifest.erased:
        return budget
    classes = manifest.spec.classes_of(kind)
    shown = [image.shows if kind == "segmentation" else image.row.labels or () for image in _places(manifest)]
    own = np.array([[name in names for name in classes] for names in shown], dtype=np.bool_)
    own = own.reshape(len(shown), len(classes))
    shows = None if budget.shows is None else np.concatenate([budget.shows, own])
    return replace(budget, shows=shows, foreground=shares_with_erased(manifest, budget.foreground))


def _places(manifest: Manifest) -> list[ErasedImage]:
    """The places to draw with: all, but in an official split only those that have a part in it."""
    return [image for image in manifest.erased if image.row.split is not None or not manifest.official]


def present_rows(manifest: Manifest, rows: Iterable[int]) -> tuple[int, ...]:
    """Return the rows without the places of erased images, in the same order."""
    return tuple(row for row in rows if row < len(manifest.rows))
