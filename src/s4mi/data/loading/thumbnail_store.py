"""Thumbnails of images, kept by the content of their files, so that a data set is decoded once."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import read_for
from s4mi.data.duplicates import THUMBNAIL_SIZE, thumbnail
from s4mi.data.files import decoding_revision
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.manifest import Manifest
from s4mi.data.parallel import in_parallel
from s4mi.errors import S4miError
from s4mi.records.atomic import make_private

STORE_NAME = "thumbnails.sqlite"
FORMAT = 1
CREATE = "CREATE TABLE IF NOT EXISTS thumbnails (key TEXT PRIMARY KEY, pixels BLOB)"
KEPT_AT_A_TIME = 512

ProgressCallback = Callable[[int, int], None]


def dataset_thumbnails(
    manifest: Manifest, folder: Path, *, progress: ProgressCallback = lambda *_: None
) -> tuple[list[str], NDArray[np.uint8]]:
    """Return the hash of every image file, and (R, 32, 32, 3) thumbnails, of which only new ones are decoded.

    Args:
        folder: where hashes and thumbnails are kept.

    Raises:
        S4miError: an image cannot be read (with its line), or the folder cannot be written.
    """
    try:
        make_private(folder)
        digests = FileHashes(folder / DATABASE_NAME).digests([row.image for row in manifest.rows])
        of_rows = [digests[row.image] for row in manifest.rows]
        keys = [
            f"{FORMAT} {decoding_revision(row.image)} {manifest.spec.rule} {digest}"
            for row, digest in zip(manifest.rows, of_rows, strict=True)
        ]
        store = _Store(folder / STORE_NAME)
        known = store.read(keys)
        missing = [number for number, key in enumerate(keys) if key not in known]
        for number, small in zip(missing, _decoded(manifest, missing, progress), strict=True):
            if isinstance(small, str):
                row = manifest.rows[number]
                raise S4miError(f"{manifest.folder / row.location}: image {row.image.name!r} {small}")
            known[keys[number]] = small
            store.add(keys[number], small)
        store.flush()
    except (OSError, sqlite3.Error) as error:
        raise S4miError(f"{folder}: cannot write the thumbnails ({error}); make room, or make it writable") from error
    return of_rows, np.stack([known[key] for key in keys])


def forget_thumbnails(folder: Path, digests: Iterable[str]) -> None:
    """Remove the thumbnails of files with these hashes from the store in `folder`, or all of them if it is damaged."""
    path = folder / STORE_NAME
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            database.execute("PRAGMA secure_delete = ON")
            with database:
                database.execute(CREATE)
                patterns = [(f"% {digest}",) for digest in digests]
                database.executemany("DELETE FROM thumbnails WHERE key LIKE ?", patterns)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        path.unlink()


def _decoded(manifest: Manifest, numbers: Sequence[int], progress: ProgressCallback) -> Iterator[Pixels | str]:
    work = partial(_thumbnail, intensity=manifest.spec.rule)
    return in_parallel(work, [manifest.rows[number].image for number in numbers], progress=progress)


def _thumbnail(path: Path, *, intensity: Intensity) -> Pixels | str:
    try:
        return thumbnail(read_for(path, intensity, (THUMBNAIL_SIZE, THUMBNAIL_SIZE)))
    except ImageError as error:
        return str(error)


class _Store:
    """Thumbnails in a database, by key; a damaged one is built again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new: list[tuple[str, bytes]] = []

    def read(self, keys: Sequence[str]) -> dict[str, Pixels]:
        found: dict[str, bytes] = {}
        try:
            with self._database() as database:
                for start in range(0, len(keys), KEPT_AT_A_TIME):
                    some = keys[start : start + KEPT_AT_A_TIME]
                    marks = ",".join("?" * len(some))
                    found |= database.execute(f"SELECT key, pixels FROM thumbnails WHERE key IN ({marks})", some)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)
            return {}
        shape = (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3)
        return {key: np.frombuffer(pixels, dtype=np.uint8).reshape(shape) for key, pixels in found.items()}

    def add(self, key: str, pixels: Pixels) -> None:
        self._new.append((key, pixels.tobytes()))
        if len(self._new) == KEPT_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        if self._new:
            with self._database() as database:
                database.executemany("INSERT OR REPLACE INTO thumbnails VALUES (?, ?)", self._new)
            self._new.clear()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))  # images of patients
        with closing(sqlite3.connect(self._path, timeout=60)) as database, database:
            database.execute(CREATE)
            yield database
