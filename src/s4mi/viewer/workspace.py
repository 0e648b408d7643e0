"""What the server holds while it runs: the data set, its columns, annotations, pictures and runs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import cast

import numpy as np

from s4mi.data.annotations.journal import FOLDER, LOCK, NAME, Journal, read_journal
from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import image_size
from s4mi.data.manifest import Manifest
from s4mi.data.manifest_table import read_manifest_table
from s4mi.data.masks import read_mask
from s4mi.data.row import Row
from s4mi.data.versions import load_version, newest_version
from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.records import Part
from s4mi.records.lock import file_lock
from s4mi.viewer.annotations import Annotations
from s4mi.viewer.columns import Columns, columns_of
from s4mi.viewer.events import Events, Presence
from s4mi.viewer.grid import Marks, Orders
from s4mi.viewer.masks import check_classes
from s4mi.viewer.pictures import Pictures
from s4mi.viewer.requests import RequestError, shown
from s4mi.viewer.runs import ViewRun

log = logging.getLogger("s4mi.viewer")


@dataclass
class Workspace:
    """An open data set; `close` releases it.

    Attributes:
        numbers: row number of each id.
        sizes: (N, 2) height and width of each image, 0 where not read yet.
        ranks: place of each image among those to annotate next, 0 without one.
        duplicates: near-duplicates of images that have any.
    """

    folder: Path
    read_only: bool
    manifest: Manifest
    columns: Columns
    annotations: Annotations
    pictures: Pictures
    numbers: Mapping[str, int]
    parts: Mapping[Part, Sequence[int]] | None = None
    events: Events = field(default_factory=Events)
    presence: Presence = field(default_factory=Presence)
    orders: Orders = field(default_factory=Orders)
    lock: RLock = field(default_factory=RLock)
    runs: dict[str, ViewRun] = field(default_factory=dict)
    _held: ExitStack = field(default_factory=ExitStack)
    _stale: int = 0

    def __post_init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        """Forget what is known of images by their number."""
        count = self.columns.count
        self.sizes = np.zeros((count, 2), dtype=np.int32)
        self.ranks = np.zeros(count, dtype=np.int32)
        self.duplicates = dict[int, tuple[int, ...]]()

    @property
    def revision(self) -> int:
        """Number that changes with everything that the grid filters or sorts by."""
        return self.annotations.last + self._stale

    def touch(self) -> None:
        """Note that predictions, ranks or duplicates have changed, so that kept orders are void."""
        with self.lock:
            self._stale += 1

    def row(self, n: int) -> Row:
        """Return the row of an image."""
        return self.manifest.rows[n]

    def run(self, key: str) -> ViewRun:
        """Return a run by its key.

        Raises:
            RequestError: there is none.
        """
        if key not in self.runs:
            known = ", ".join(self.runs) or "none; start s4mi view with --run RUN"
            raise RequestError(404, f"run: {shown(key)} is unknown; choose from {known}")
        return self.runs[key]

    def size(self, n: int) -> tuple[int, int]:
        """Return (height, width) of an image.

        Raises:
            ImageError: the file cannot be read.
        """
        if not self.sizes[n].any():
            self.sizes[n] = image_size(self.row(n).image)
        return int(self.sizes[n][0]), int(self.sizes[n][1])

    def truth(self, n: int) -> Pixels | None:
        """Return the mask of an image in the data set, (H, W) class indices; None if it has none.

        Raises:
            ImageError: the file cannot be read.
        """
        mask = self.row(n).mask
        return None if mask is None else read_mask(mask, self.manifest.spec.mask_values)

    def marks(self) -> Marks:
        """Return the columns that change while the server runs."""
        changed, skipped = (np.zeros(self.columns.count, dtype=np.bool_) for _ in range(2))
        for n, one in self.annotations.changed().items():
            changed[n], skipped[n] = True, one.skip is not None
        duplicates = np.zeros(self.columns.count, dtype=np.int32)
        for n, others in self.duplicates.items():
            duplicates[n] = len(others)
        return Marks(changed, skipped, self.ranks, duplicates)

    def reload(self, finish: Callable[[Mapping[str, int]], None] | None = None) -> None:
        """Read the newest version of the data set, whose images may be others.

        Args:
            finish: called with its row numbers by id before it is shown; None: annotations follow their images.
        """
        manifest = open_manifest(self.folder)
        columns = columns_of(manifest)
        numbers = numbers_of(columns)
        with self.lock:
            (finish or self.annotations.renumber)(numbers)
            same = columns.names.equals(self.columns.names)
            if self.parts is not None:
                names = self.columns.names.to_list()
                self.parts = {
                    part: [numbers[names[n]] for n in rows if names[n] in numbers] for part, rows in self.parts.items()
                }
                columns = columns_of(manifest, self.parts)
            self.manifest, self.columns, self.numbers = manifest, columns, numbers
            self.pictures.rule = manifest.spec.rule
            if not same:
                self.pictures.clear()
                self._forget()
            for run in self.runs.values():
                run.renumber(manifest, numbers)
            self.touch()

    def close(self) -> None:
        """Close the journal and let others open the data set."""
        self.events.closing = True
        self.annotations.close()
        self._held.close()


def open_workspace(folder: Path, *, read_only: bool = False) -> Workspace:
    """Open a data set to look at it and, unless `read_only`, to annotate it.

    Raises:
        S4miError: it is not a data set, has an error, has too many classes, or is open elsewhere.
    """
    manifest = open_manifest(folder)
    columns = columns_of(manifest)
    numbers = numbers_of(columns)
    home = folder / FOLDER
    with ExitStack() as opening:
        if read_only:
            annotations = Annotations(None, read_journal(home / NAME).entries, numbers)
        else:
            _lock(home, opening)
            annotations = _open_journal(home, manifest, numbers)
        if annotations.lost:
            lost = list(dict.fromkeys(str(entry["id"]) for entry in annotations.lost))
            log.warning("%s: changes of %s that the data set no longer has, such as %r, are kept and not shown",
                        home / NAME, plural(len(lost), "image"), lost[0])  # fmt: skip
        pictures = Pictures(manifest.spec.rule)
        held = opening.pop_all()
    return Workspace(folder, read_only, manifest, columns, annotations, pictures, numbers, _held=held)


def _open_journal(home: Path, manifest: Manifest, numbers: Mapping[str, int]) -> Annotations:
    """Open the journal in a folder; finish a merge that was interrupted."""
    journal = Journal(home)
    annotations = Annotations(journal, journal.entries, numbers)
    if journal.dropped:
        log.warning("%s: the last change was incomplete and is dropped; repeat it", journal.path)
    if journal.entries and journal.entries[-1]["op"] == "merging":
        from s4mi.viewer.merge_files import finish_interrupted

        if finish_interrupted(annotations, manifest, journal.entries):
            log.warning("%s: a merge that was interrupted is complete as version %d", manifest.folder, manifest.version)
    return annotations


def open_manifest(folder: Path) -> Manifest:
    """Read the newest version of a data set, as columns if possible.

    Raises:
        S4miError: it is not a data set, has an error, or its masks have too many classes.
    """
    version, table = newest_version(folder), read_manifest_table(folder)
    if table is None:
        manifest = load_version(folder)
    else:
        rows = cast("tuple[Row, ...]", table.rows)  # a sequence that makes its rows on demand
        manifest = Manifest(folder, table.spec, rows, version)
    check_classes(manifest.spec)
    return manifest


def numbers_of(columns: Columns) -> dict[str, int]:
    """Row number of each id."""
    return dict(zip(columns.names.to_list(), range(columns.count), strict=True))


def _lock(home: Path, held: ExitStack) -> None:
    """Take the lock of a journal until `held` is closed.

    Raises:
        S4miError: another process has it, or the folder cannot be written.
    """
    try:
        busy = "is open in another s4mi view; use that one, or pass --read-only to look only"
        held.enter_context(file_lock(home / LOCK, busy=busy))
    except OSError as error:
        raise S4miError(f"{home}: cannot be written ({error.strerror}); pass --read-only to look only") from error
