"""The data that a run began with: content hashes of each image, mask and label, so that a change is never overlooked.

<run>/data.json   {"hash", "spec", "rows": {id: [image, mask, label]}}, hashes in hexadecimal; null: none, or not used

The split has a hash of its own (`split.json`), which does not cover what the images are or how they are annotated.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from s4mi.config import RunConfig
from s4mi.data.label_cells import UNKNOWN_SIGN
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.row import Row
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import write_text_atomically

if TYPE_CHECKING:  # it imports torch, which reading a state does without
    from s4mi.training.prepare import Prepared

DATA_NAME = "data.json"
DIGITS = 16
"""Hexadecimal digits kept of a hash."""
_FACETS = ("image", "mask", "label")
_NAMED = 5
"""Number of changed rows that a message names."""

RowHashes = tuple[str, str | None, str | None]


class DataState(BaseModel):
    """Content hashes of a data set as used by a run.

    Attributes:
        hash: hash of everything below. spec: hash of each part of `dataset.yaml` that decides about pixels or targets.
        rows: hashes of image file, mask file and label by image id, in the order of the manifest.
    """

    model_config = ConfigDict(frozen=True)

    hash: str
    spec: dict[str, str]
    rows: dict[str, RowHashes]

    @property
    def labels_hash(self) -> str:
        """Hash of the labels of all rows, independent of their order; empty if the run uses no labels."""
        labels = {name: label for name, (_, _, label) in self.rows.items() if label is not None}
        return _hash(dict(sorted(labels.items()))) if labels else ""

    @property
    def complete(self) -> bool:
        """Whether the rows are those that the run began with; an erasure removes those of the patient."""
        return self.hash == _hash([self.spec, list(self.rows.items())])


def data_state(config: RunConfig, prepared: "Prepared") -> DataState:
    """Return the state of a run's data: of each row the image, and the mask and label if the run uses them.

    Raises:
        S4miError: a mask cannot be read.
    """
    manifest, cache = prepared.manifest, prepared.cache
    targets = not config.method.pretrains or config.health.knn  # pre-training uses no annotation
    masks: dict[Path, str] = {}
    if targets and cache.masks is not None:
        files = [row.mask for row in manifest.rows if row.mask is not None]
        masks = FileHashes(config.data.cache / DATABASE_NAME).digests(files)
    with_labels = targets and prepared.labels is not None

    def hashes(digest: str, row: Row) -> RowHashes:
        mask = masks[row.mask][:DIGITS] if masks and row.mask is not None else None
        label = _hash_of_label(row.labels, row.unknown) if with_labels and row.labels is not None else None
        return digest[:DIGITS], mask, label

    rows = {row.id: hashes(digest, row) for digest, row in zip(cache.digests.tolist(), manifest.rows, strict=True)}
    # Mask values keep their order, which is that of the classes.
    parts: dict[str, Any] = {"channels": manifest.spec.channels, "intensity": str(manifest.spec.rule)}
    if with_labels:
        parts["classes"] = list(manifest.spec.classes)
    if masks:
        parts["mask_values"] = [[str(value), name] for value, name in manifest.spec.mask_values.items()]
    spec = {name: _hash(value) for name, value in parts.items()}
    return DataState(hash=_hash([spec, list(rows.items())]), spec=spec, rows=rows)


def write_data_state(run: Path, state: DataState) -> None:
    """Write the state of the data that the run in the folder `run` begins with."""
    write_text_atomically(run / DATA_NAME, state.model_dump_json() + "\n")


def read_data_state(run: Path) -> DataState | None:
    """Read the state of the data that a run began with; None for a run of a version that did not write it.

    Raises:
        S4miError: the file is damaged.
    """
    path = run / DATA_NAME
    try:
        return DataState.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise S4miError(f"{path}: not a valid state of the data; train the run again in another folder") from error


def check_data_state(run: Path, prepared: "Prepared", state: DataState) -> None:
    """Check that the data of a resumed run are those that it began with.

    Raises:
        S4miError: images, masks, labels, classes or the order of the rows differ; the first changed rows are named.
    """
    began = read_data_state(run)
    if began is None or began.hash == state.hash:
        return
    line_of = {row.id: row.location for row in prepared.manifest.rows}
    changes = list(_changes(began, state, line_of))
    more = f" and {plural(len(changes) - _NAMED, 'more change')}" if len(changes) > _NAMED else ""
    hint = "restore the data set to resume, or train again in another folder"
    if prepared.manifest.erased and (not changes or not began.rows.keys() <= state.rows.keys()):
        changes = changes or ["images were erased"]  # from what the run has noted, too
        hint = "it may have been trained on erased images; train again in another folder"
    raise S4miError(
        f"{run / DATA_NAME}: the data set has changed since the run began: {', '.join(changes[:_NAMED])}{more}; {hint}"
    )


def _changes(began: DataState, now: DataState, line_of: dict[str, str]) -> Iterator[str]:
    """Yield what differs, the rows in the order of the manifest."""
    for name in sorted(began.spec.keys() | now.spec.keys()):
        if began.spec.get(name) != now.spec.get(name):
            yield f"dataset.yaml {name}"
    for image_id, hashes in now.rows.items():
        before = began.rows.get(image_id)
        if before is None:
            yield f"{line_of[image_id]} {image_id!r} is new"
            continue
        changed = [name for name, old, new in zip(_FACETS, before, hashes, strict=True) if old != new]
        if changed:
            yield f"{line_of[image_id]} {' and '.join(changed)} of {image_id!r}"
    for image_id in began.rows:
        if image_id not in now.rows:
            yield f"{image_id!r} is missing"
    common = [name for name in now.rows if name in began.rows]
    if common != [name for name in began.rows if name in now.rows]:
        yield "the order of the rows, which decides about batches"


@lru_cache(maxsize=4096)
def _hash_of_label(labels: tuple[str, ...], unknown: tuple[str, ...]) -> str:
    """Hash a label; many rows have the same."""
    return _hash([*sorted(labels), *sorted(UNKNOWN_SIGN + name for name in unknown)])


def _hash(contents: Any) -> str:
    return hashlib.blake2b(json.dumps(contents).encode(), digest_size=DIGITS // 2).hexdigest()
