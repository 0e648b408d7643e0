"""A data set in Python: what it holds, its images and masks, its check and its splits."""

import operator
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

from s4mi.api.inputs import StrPath, as_path, one_of, shown_path
from s4mi.api.progress import StepCallback
from s4mi.api.show import cards, facts, heading, legend, picture, table
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from typing import Literal

    import polars

    from s4mi.api.checks import CheckOutput
    from s4mi.data.formats.intensity import Pixels
    from s4mi.data.manifest import Manifest
    from s4mi.data.row import Row
    from s4mi.data.spec import DatasetSpec
    from s4mi.records import TaskKind

THUMBNAILS = 8


class Dataset(os.PathLike[str]):
    """A data set folder: `dataset.yaml` and `manifest.csv`. Stands for its path wherever one is expected.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: StrPath, *, version: int | None = None) -> None:
        """Open a data set.

        Args:
            path: its folder.
            version: number of an older version, before annotations were merged; None for the newest.

        Raises:
            S4miError: the folder is not a data set, or its manifest has an error.
        """
        from s4mi.data.versions import load_version

        self.path: Path = as_path(path).absolute()  # stays the same folder after os.chdir
        self._manifest: Manifest = load_version(self.path, version)

    def __fspath__(self) -> str:
        return str(self.path)

    def __len__(self) -> int:
        return len(self._manifest.rows)

    @property
    def name(self) -> str:
        """Its name, with the number of its version from the second on."""
        return self._manifest.title

    @property
    def tasks(self) -> "tuple[TaskKind, ...]":
        """What can be learned from its annotations: multiclass, multilabel, segmentation."""
        return self.spec.tasks

    @property
    def classes(self) -> tuple[str, ...]:
        """Names that images are labelled with."""
        return self.spec.classes

    @property
    def mask_classes(self) -> tuple[str, ...]:
        """Names of the classes in masks, background first."""
        return self.spec.mask_classes

    @property
    def version(self) -> int:
        """1, and one more each time annotations were merged into it."""
        return self._manifest.version

    @property
    def spec(self) -> "DatasetSpec":
        """The contents of `dataset.yaml`."""
        return self._manifest.spec

    @cached_property
    def table(self) -> "polars.DataFrame":
        """One row per image: `id`, `image` and `mask` (paths), `labels` (null: not annotated), `group`, `split`."""
        import polars

        rows = self._manifest.rows
        text, labels = polars.String, polars.List(polars.String)
        schema = dict.fromkeys(("id", "image", "mask", "labels", "group", "split"), text) | {"labels": labels}
        columns = {
            "id": [row.id for row in rows],
            "image": [str(row.image) for row in rows],
            "mask": [None if row.mask is None else str(row.mask) for row in rows],
            "labels": [None if row.labels is None else list(row.labels) for row in rows],
            "group": [row.group for row in rows],
            "split": [row.split for row in rows],
        }
        return polars.DataFrame(columns, schema=schema)

    @property
    def counts(self) -> "polars.DataFrame":
        """Images, labelled and masked images, patients and images of each class: by official part, and in all."""
        import polars

        rows = self._manifest.rows
        parts = [part for part in ("train", "val", "test") if any(row.split == part for row in rows)]
        columns: dict[str, Sequence[Row]] = {part: [row for row in rows if row.split == part] for part in parts}
        columns["all"] = rows
        counted: dict[str, list[int]] = {
            "images": [len(own) for own in columns.values()],
            "labelled": [sum(row.labels is not None for row in own) for own in columns.values()],
            "masked": [sum(row.mask is not None for row in own) for own in columns.values()],
            "patients": [len({row.group for row in own if row.group is not None}) for own in columns.values()],
        }
        for name in self.classes:
            counted[f"class {name}"] = [sum(name in (row.labels or ()) for row in own) for own in columns.values()]
            if any(name in row.unknown for row in rows):
                counted[f"class {name} unknown"] = [sum(name in row.unknown for row in own) for own in columns.values()]
        values = {part: [own[i] for own in counted.values()] for i, part in enumerate(columns)}
        return polars.DataFrame({"count": [*counted], **values})

    def image(self, which: SupportsIndex | str) -> "Pixels":
        """(H, W, 3) uint8 RGB of an image by its row number or id, read as in training, before it is resized.

        Raises:
            S4miError: no such image, or it cannot be read.
        """
        from s4mi.data.images import read_image

        row = self._row(which)
        try:
            return read_image(row.image, self.spec.rule)
        except S4miError as error:
            raise S4miError(f"{row.image}: {error}") from error

    def mask(self, which: SupportsIndex | str) -> "Pixels | None":
        """(H, W) uint8 class indices of a mask by its row number or id, 255 where ignored; None without a mask.

        Raises:
            S4miError: no such image, or its mask cannot be read.
        """
        from s4mi.data.masks import read_mask

        row = self._row(which)
        if row.mask is None:
            return None
        try:
            return read_mask(row.mask, self.spec.mask_values)
        except S4miError as error:
            raise S4miError(f"{row.mask}: {error}") from error

    @system_errors()
    def check(self, *, duplicates: bool = True, progress: bool | StepCallback = True) -> "CheckOutput":
        """Decode every image and mask and list what is wrong; see `s4mi.check`."""
        from s4mi.api.checks import check

        return check(self.path, duplicates=duplicates, progress=progress)

    def _row(self, which: SupportsIndex | str) -> "Row":
        from s4mi.errors import nearest

        rows = self._manifest.rows
        if not isinstance(which, str):
            which = operator.index(which)  # numbers of NumPy too
            if not -len(rows) <= which < len(rows):
                raise S4miError(f"{self.path}: no image {which}; it has {plural(len(rows), 'image')}, counted from 0")
            return rows[which]
        found = next((row for row in rows if row.id == which), None)
        if found is None:
            raise S4miError(f"{self.path}: no image with id {which!r}{nearest(which, [row.id for row in rows])}")
        return found

    def __repr__(self) -> str:
        tasks = ", ".join(self.tasks) or "nothing annotated"
        return f"Dataset({shown_path(self.path)!r}): {self.name}, {plural(len(self), 'image')} ({tasks})"

    def _repr_html_(self) -> str:
        from s4mi.api.predictions import class_colours

        counts = self.counts
        masked = any(row.mask is not None for row in self._manifest.rows)
        return (
            heading(self.name, synthetic=self.spec.synthetic)
            + facts(
                (
                    ("folder", self.path),
                    ("tasks", ", ".join(self.tasks) or "nothing is annotated"),
                    ("mask classes", ", ".join(self.mask_classes)),
                    ("channels", self.spec.channels),
                    ("source", self.spec.source),
                    ("licence", self.spec.licence),
                )
            )
            + table(counts.columns, [row for row in counts.rows() if any(row[1:])])
            + cards(self._thumbnails())
            + (legend(class_colours(self.mask_classes)) if masked else "")
        )

    def _thumbnails(self) -> list[tuple[str, str]]:
        """Some images, spread over the classes, with their masks; those that cannot be read are left out."""
        from s4mi.inference.dataset_images import select_evenly
        from s4mi.inference.overlays.masks import class_overlay

        rows = self._manifest.rows
        shown: list[tuple[str, str]] = []
        for number in select_evenly([row.labels for row in rows], THUMBNAILS):
            row = rows[number]
            try:
                pixels, mask = self.image(number), self.mask(number)
            except S4miError:
                continue
            if mask is not None and mask.shape == pixels.shape[:2]:
                pixels = class_overlay(pixels, mask)
            labels = "" if row.labels is None else ", ".join(row.labels) or "none"
            shown.append((picture(pixels, alt=row.id, side=112), f"{row.id}\n{labels}"))
        return shown


@system_errors()
def draw(
    kind: "Literal['lesions', 'cells']", out: StrPath, *, count: int = 200, size: int = 128, seed: int = 0
) -> Dataset:
    """Draw a synthetic data set for trying things out: skin lesions (3 classes, masks) or cells (5 labels, masks).

    A folder that already holds this very set is used as it is. Scores on drawn images say nothing about patients.

    Args:
        kind: `lesions` (multiclass and segmentation) or `cells` (multilabel and segmentation).
        out: folder of the data set.
        count: number of images.
        size: side of an image in pixels, at least 32.
        seed: seed of the drawing.

    Raises:
        S4miError: the folder holds something else, or a number is out of range.
    """
    from s4mi.data.sources.synthetic import write_synthetic

    one_of("kind of data set", kind, ("lesions", "cells"))
    write_synthetic(kind, as_path(out), count=count, size=size, seed=seed)
    return Dataset(out)
