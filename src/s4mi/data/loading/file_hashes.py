"""Content hashes of files, cached in a database so that unchanged files are not read again."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from s4mi.data.loading.cache_database import CacheDatabase
from s4mi.errors import S4miError

DATABASE_NAME = "fingerprints.sqlite"
"""Name of the database in a folder of caches."""
DIGEST_BYTES = 16
FILES_AT_A_TIME, PIECE = 16_384, 1024
"""Files whose hashes are looked up at once, and that one thread examines in a row."""


class FileHashes:
    """Content hashes of files, cached by path, size and times of modification."""

    def __init__(self, path: Path) -> None:
        self._database = CacheDatabase(
            path, "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT, digest TEXT)"
        )

    @staticmethod
    def hashed(files: Iterable[Path]) -> dict[Path, str]:
        """Return the hash of each file without a database.

        Raises:
            S4miError: a file cannot be read.
        """
        return {file: _digest(str(file), None)[2] for file in files}

    def digests(self, files: Iterable[Path]) -> dict[Path, str]:
        """Return the hash of each file, reading only new and changed files.

        Raises:
            S4miError: a file cannot be read.
        """
        unique = list(dict.fromkeys(files))
        return dict(zip(unique, self.of(unique), strict=True))

    def of(self, files: Sequence[Path]) -> list[str]:
        """Return the hashes of files in their order, reading only new and changed files.

        Raises:
            S4miError: a file cannot be read.
        """
        digests: list[str] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for start in range(0, len(files), FILES_AT_A_TIME):
                some = [str(file) for file in files[start : start + FILES_AT_A_TIME]]
                known = self._known(some)
                pieces = [some[first : first + PIECE] for first in range(0, len(some), PIECE)]
                updates: list[tuple[str, str, str]] = []
                for piece in pool.map(partial(_digests, known=known), pieces):
                    for file, stamp, digest in piece:
                        digests.append(digest)
                        if known.get(file) != (stamp, digest):
                            updates.append((file, stamp, digest))
                if updates:
                    self._write(updates)
        return digests

    def remember(self, files: Sequence[tuple[Path, str, str]]) -> None:
        """Keep hashes that were made elsewhere: files, `stamp_of` each before it was read, and hashes.

        Raises:
            OSError, sqlite3.Error: the database cannot be written.
        """
        self._write([(str(file), stamp, digest) for file, stamp, digest in files])

    def forget(self, files: Iterable[str], digests: Iterable[str]) -> None:
        """Remove files by their names, and all that have one of these hashes; raises as `remember`."""
        names, hashes = [(file,) for file in files], [(digest,) for digest in digests]

        def remove(database: sqlite3.Connection) -> None:
            database.executemany("DELETE FROM files WHERE path = ?", names)
            database.executemany("DELETE FROM files WHERE digest = ?", hashes)

        self._database.run(remove)

    def _write(self, rows: Sequence[tuple[str, str, str]]) -> None:
        self._database.run(lambda database: database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", rows))

    def _known(self, files: Sequence[str]) -> dict[str, tuple[str, str]]:
        query = f"SELECT path, stamp, digest FROM files WHERE path IN ({','.join('?' * len(files))})"
        rows = self._database.run(lambda database: database.execute(query, list(files)).fetchall())
        return {path: (stamp, digest) for path, stamp, digest in rows}


def stamp_of(file: str | Path) -> str:
    """Return what tells whether a file has changed; raises OSError."""
    state = os.stat(file)  # noqa: PTH116  (half the time of Path.stat, of very many files)
    # ctime too, because a file that replaces another may keep its own modification time.
    return f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}"


def digest_of(file: str | Path) -> bytes:
    """Return the hash of the bytes of a file; raises OSError."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).digest()


def _digests(files: Sequence[str], known: Mapping[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [_digest(file, known.get(file)) for file in files]


def _digest(file: str, known: tuple[str, str] | None) -> tuple[str, str, str]:
    try:
        stamp = stamp_of(file)
        if known is not None and known[0] == stamp:
            return file, stamp, known[1]
        return file, stamp, digest_of(file).hex()
    except OSError as error:
        raise S4miError(
            f"{file}: cannot be read ({error.strerror}); make it readable, or correct the manifest"
        ) from error
