"""Hashes, mean colours and thumbnails of images, by the content of their files, so that a data set is decoded once.

    descriptions   key, hash, colour, signature   about 70 bytes of every image
    pixels         key, thumbnail                 3 KiB of images where that is at most a tenth of the file

A key is the hash of the file, followed by one of what else decides about the pixels.
"""

import hashlib
import logging
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from s4mi.data.banded_page import read_for
from s4mi.data.files import decoding_revision
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Intensity, Pixels
from s4mi.data.loading.cache_database import CacheDatabase
from s4mi.data.loading.file_hashes import DATABASE_NAME, FileHashes
from s4mi.data.loading.mask_shares import MaskShares
from s4mi.data.manifest import Manifest
from s4mi.data.parallel import in_parallel
from s4mi.data.spec import MaskKey
from s4mi.data.thumbnails import (
    SIGNATURE_BYTES,
    THUMBNAIL_SIZE,
    Description,
    Thumbnails,
    describe,
    is_kept,
    thumbnail,
    thumbnails_of,
)
from s4mi.errors import S4miError
from s4mi.records.atomic import make_private

STORE_NAME = "thumbnails.sqlite"
FORMAT = 3
"""Stored as the `user_version` of the database; one of another format is begun anew."""
CREATE = (
    "CREATE TABLE IF NOT EXISTS descriptions (key BLOB PRIMARY KEY, hash INTEGER, rest BLOB) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS pixels (key BLOB PRIMARY KEY, thumbnail BLOB)",
)
TABLES = ("thumbnails", "descriptions", "pixels")
"""Of this format and of earlier ones."""
KEPT_AT_A_TIME = 4096
REST = struct.Struct(f"<3f{SIGNATURE_BYTES}s")

log = logging.getLogger("s4mi")
ProgressCallback = Callable[[int, int], None]


def dataset_thumbnails(
    manifest: Manifest, folder: Path, *, progress: ProgressCallback = lambda *_: None
) -> tuple[list[str], Thumbnails]:
    """Return the hash of every image file, and the thumbnails of all rows, of which only new ones are decoded.

    Args:
        folder: where hashes and thumbnails are kept.

    Raises:
        S4miError: an image cannot be read (with its line), or the folder cannot be written.
    """
    digests = dataset_digests(manifest, folder)
    return digests, thumbnails_with(manifest, folder, digests, progress=progress)


def dataset_digests(manifest: Manifest, folder: Path) -> list[str]:
    """Return the hash of every image file, reading only new and changed ones; raises as `dataset_thumbnails`."""
    with writing_thumbnails(folder):
        make_private(folder)
        return FileHashes(folder / DATABASE_NAME).of([row.image for row in manifest.rows])


def thumbnails_with(
    manifest: Manifest, folder: Path, digests: Sequence[str], *, progress: ProgressCallback = lambda *_: None
) -> Thumbnails:
    """Return the thumbnails of all rows, whose files have these hashes; raises as `dataset_thumbnails`."""
    rows, rule = manifest.rows, manifest.spec.rule
    with writing_thumbnails(folder):
        make_private(folder)
        keys = _keys([row.image for row in rows], digests, rule)
        store = _Store(folder / STORE_NAME)
        known = store.read(keys)
        missing = [number for number, key in enumerate(keys) if key not in known]
        for number, described in zip(missing, _decoded(manifest, missing, progress), strict=True):
            if isinstance(described, str):
                row = rows[number]
                raise S4miError(f"{manifest.folder / row.location}: image {row.image.name!r} {described}")
            known[keys[number]] = described[0]
            store.add(keys[number], *described)
        store.flush()
        kept = store.kept()
    return _on_demand([row.image for row in rows], rule, keys, [known[key] for key in keys], store, kept)


class ThumbnailKeeper:
    """Keeps what a scan of files finds on its way: hashes and thumbnails. A scan that cannot write goes on without."""

    def __init__(self, folder: Path, rule: Intensity, mask_values: Mapping[MaskKey, str]) -> None:
        self._shares = MaskShares(folder, mask_values)
        self._masks: list[tuple[Path, str, str, float]] = []
        self._hashes, self._store, self._rule = FileHashes(folder / DATABASE_NAME), _Store(folder / STORE_NAME), rule
        self._new: list[tuple[Path, str, str]] = []
        self._folder, self._writes = folder, True
        self._unless_it_fails(lambda: make_private(folder))

    def add(self, image: Path, stamp: str, digest: str, *, found: Description, small: Pixels | None) -> None:
        """Keep the hash and the description of an image, and its thumbnail if it is given."""
        if self._writes:
            self._new.append((image, stamp, digest))
            self._unless_it_fails(lambda: self._store.add(_keys([image], [digest], self._rule)[0], found, small))
        if len(self._new) == KEPT_AT_A_TIME:
            self.flush()

    def add_mask(self, mask: Path, stamp: str, digest: str, share: float) -> None:
        """Keep the hash and the share of foreground of a mask."""
        if self._writes:
            self._masks.append((mask, stamp, digest, share))

    def flush(self) -> None:
        """Write what is left."""
        self._unless_it_fails(self._flush_masks)
        self._unless_it_fails(lambda: self._hashes.remember(self._new))
        self._unless_it_fails(self._store.flush)
        self._new.clear()

    def thumbnails(self, images: Sequence[Path], digests: Sequence[str], found: Sequence[Description]) -> Thumbnails:
        """Return the thumbnails of images that were added."""
        kept: set[bytes] = self._store.kept() if self._writes else set()
        return _on_demand(images, self._rule, _keys(images, digests, self._rule), found, self._store, kept)

    def _flush_masks(self) -> None:
        self._hashes.remember([mask[:3] for mask in self._masks])
        masks, _, digests, shares = zip(*self._masks, strict=True) if self._masks else ((), (), (), ())
        self._shares.add(masks, digests, shares)
        self._masks.clear()

    def _unless_it_fails(self, write: Callable[[], None]) -> None:
        if not self._writes:
            return
        try:
            write()
        except (OSError, sqlite3.Error) as error:
            self._writes = False
            log.warning("%s: cannot keep hashes and thumbnails (%s); they will be made again", self._folder, error)


def _on_demand(
    images: Sequence[Path], rule: Intensity, keys: Sequence[bytes], found: Sequence[Description], store: "_Store",
    kept: AbstractSet[bytes],
) -> Thumbnails:  # fmt: skip
    def pixels(number: int) -> Pixels:
        small = store.pixels(keys[number]) if keys[number] in kept else None
        if small is None:
            return thumbnail(read_for(images[number], rule, (THUMBNAIL_SIZE, THUMBNAIL_SIZE)))
        return small

    return thumbnails_of(found, pixels, lambda number: None if keys[number] in kept else (images[number], rule))


@contextmanager
def writing_thumbnails(folder: Path) -> Iterator[None]:
    """Name the folder if it cannot be written."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise S4miError(f"{folder}: cannot write the thumbnails ({error}); make room, or make it writable") from error


def forget_thumbnails(folder: Path, digests: Iterable[str]) -> None:
    """Remove the thumbnails of files with these hashes from the store in `folder`, or all of them if it is damaged."""
    if not (folder / STORE_NAME).is_file():
        return
    ends = [(one := bytes.fromhex(digest), one + b"\xff" * 8) for digest in digests]

    def remove(database: sqlite3.Connection) -> None:
        for table in ("descriptions", "pixels"):
            database.executemany(f"DELETE FROM {table} WHERE key BETWEEN ? AND ?", ends)

    _database(folder / STORE_NAME).run(remove)


def _keys(images: Sequence[Path], digests: Sequence[str], rule: Intensity) -> list[bytes]:
    other: dict[int, bytes] = {}
    keys = []
    for image, digest in zip(images, digests, strict=True):
        revision = decoding_revision(image)
        if revision not in other:
            other[revision] = hashlib.blake2b(f"{FORMAT} {revision} {rule}".encode(), digest_size=4).digest()
        keys.append(bytes.fromhex(digest) + other[revision])
    return keys


def _decoded(
    manifest: Manifest, numbers: Sequence[int], progress: ProgressCallback
) -> Iterator[tuple[Description, Pixels | None] | str]:
    work = partial(_describe, intensity=manifest.spec.rule)
    return in_parallel(work, [manifest.rows[number].image for number in numbers], progress=progress)


def _describe(path: Path, *, intensity: Intensity) -> tuple[Description, Pixels | None] | str:
    try:
        small = thumbnail(read_for(path, intensity, (THUMBNAIL_SIZE, THUMBNAIL_SIZE)))
        return describe(small), small if is_kept(path.stat().st_size) else None
    except ImageError as error:
        return str(error)


class _Store:
    """Descriptions and thumbnails in a database, by key; a damaged one is built again."""

    def __init__(self, path: Path) -> None:
        self._database = _database(path)
        self._new: list[tuple[bytes, Description, Pixels | None]] = []

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Description]:
        def known(database: sqlite3.Connection) -> dict[bytes, Description]:
            found: dict[bytes, Description] = {}
            for start in range(0, len(keys), KEPT_AT_A_TIME):
                some = keys[start : start + KEPT_AT_A_TIME]
                marks = ",".join("?" * len(some))
                rows = database.execute(f"SELECT key, hash, rest FROM descriptions WHERE key IN ({marks})", some)
                for key, signed, rest in rows:
                    red, green, blue, signature = REST.unpack(rest)
                    found[key] = Description(signed % (1 << 64), (red, green, blue), signature)
            return found

        try:
            return self._database.run(known)
        except (struct.error, TypeError):  # damaged rows
            self._database.remove()
            return {}

    def pixels(self, key: bytes) -> Pixels | None:
        """Return the thumbnail that is kept under a key."""
        query = "SELECT thumbnail FROM pixels WHERE key = ?"
        try:
            row = self._database.run(lambda database: database.execute(query, (key,)).fetchone())
            shape = (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3)
            return None if row is None else np.frombuffer(row[0], dtype=np.uint8).reshape(shape)
        except (sqlite3.Error, ValueError):  # the image is read instead
            return None

    def kept(self) -> set[bytes]:
        """Return the keys of all thumbnails that are kept."""
        return self._database.run(lambda database: {key for (key,) in database.execute("SELECT key FROM pixels")})

    def add(self, key: bytes, description: Description, pixels: Pixels | None) -> None:
        self._new.append((key, description, pixels))
        if len(self._new) == KEPT_AT_A_TIME:
            self.flush()

    def flush(self) -> None:
        if not self._new:
            return
        signed = np.array([one.hash for _, one, _ in self._new], dtype=np.uint64).view(np.int64).tolist()
        entries = zip(self._new, signed, strict=True)
        rows = [(key, n, REST.pack(*one.colour, one.signature)) for (key, one, _), n in entries]
        kept = [(key, small.tobytes()) for key, _, small in self._new if small is not None]

        def write(database: sqlite3.Connection) -> None:
            database.executemany("INSERT OR REPLACE INTO descriptions VALUES (?, ?, ?)", rows)
            database.executemany("INSERT OR REPLACE INTO pixels VALUES (?, ?)", kept)

        self._database.run(write)
        self._new.clear()


def _database(path: Path) -> CacheDatabase:
    return CacheDatabase(path, *CREATE, format=FORMAT, outdated=TABLES)
