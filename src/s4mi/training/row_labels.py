"""What the annotations of a manifest's R rows say of its K classes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.data.loading.cached_arrays import Cache
from s4mi.data.manifest import Manifest
from s4mi.records import TaskKind


def shows_labels(manifest: Manifest) -> NDArray[np.bool_]:
    """(R, K) which classes each row shows."""
    classes = manifest.spec.classes
    return np.array([[name in (row.labels or ()) for name in classes] for row in manifest.rows], dtype=bool)


def shows_pixels(cache: Cache, manifest: Manifest) -> tuple[NDArray[np.bool_], list[float]]:
    """(R, K) which mask classes each row shows, and (R,) its share of foreground."""
    pixels = np.zeros((len(manifest.rows), cache.pixels.shape[1]), dtype=np.int64)
    np.add.at(pixels, cache.row, cache.pixels)
    return pixels > 0, cache.foreground.tolist()


def unknown_labels(manifest: Manifest) -> NDArray[np.bool_] | None:
    """(R, K) of which classes it is not known whether an annotated row shows them; None if there are none."""
    if not any(row.unknown for row in manifest.rows):
        return None
    return np.array([[name in row.unknown for name in manifest.spec.classes] for row in manifest.rows], dtype=bool)


def label_targets(
    manifest: Manifest, kind: TaskKind, shows: NDArray[np.bool_], unknown: NDArray[np.bool_] | None
) -> Tensor:
    """(R,) class index of each row, -1 without a label; of several labels (R, K) 0 or 1, NaN where it is unknown."""
    annotated = np.array([row.labels is not None for row in manifest.rows])
    if kind == "multilabel":
        known = annotated[:, None] if unknown is None else annotated[:, None] & ~unknown
        return torch.from_numpy(np.where(known, shows.astype(np.float32), np.nan).astype(np.float32))
    return torch.from_numpy(np.where(annotated, shows.argmax(axis=1), -1).astype(np.int64))


def patients_of(manifest: Manifest) -> NDArray[np.int64]:
    """(R,) number of the patient of each row; a row without one is a patient by itself."""
    names = [row.group or f"row {number}" for number, row in enumerate(manifest.rows)]
    _, numbers = np.unique(names, return_inverse=True)
    return numbers.astype(np.int64)


def first_row_of_patient(manifest: Manifest) -> NDArray[np.int64]:
    """(R,) first row of the patient of each row, which is the row itself without one."""
    _, first, numbers = np.unique(patients_of(manifest), return_index=True, return_inverse=True)
    return first[numbers].astype(np.int64)
