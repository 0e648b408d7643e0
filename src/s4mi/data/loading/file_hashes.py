"""Content hashes of files, cached in a database so that unchanged files are not read again."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from s4mi.errors import S4miError

DATABASE_NAME = "fingerprints.sqlite"
"""Name of the database in a folder of caches."""
BLOCK = 16
"""Files that a thread takes at a time, as to hand one over takes longer than to see that it is unchanged."""


class FileHashes:
    """Content hashes of files, cached by path, size and times of modification."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @staticmethod
    def hashed(files: Iterable[Path]) -> dict[Path, str]:
        """Return the hash of each file without a database.

        Raises:
            S4miError: a file cannot be read.
        """
        return {file: _digest(file, None)[2] for file in files}

    def digests(self, files: Iterable[Path]) -> dict[Path, str]:
        """Return the hash of each file, reading only new and changed files.

        Raises:
            S4miError: a file cannot be read.
        """
        unique = list(dict.fromkeys(files))
        known = self._known()
        digests: dict[Path, str] = {}
        updates: list[tuple[str, str, str]] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            blocks = [unique[start : start + BLOCK] for start in range(0, len(unique), BLOCK)]
            results = pool.map(lambda block: [_digest(file, known.get(str(file))) for file in block], blocks)
            for file, stamp, digest in (one for block in results for one in block):
                digests[file] = digest
                if known.get(str(file)) != (stamp, digest):
                    updates.append((str(file), stamp, digest))
        if updates:
            with self._database() as database:
                database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", updates)
        return digests

    def _known(self) -> dict[str, tuple[str, str]]:
        try:
            with self._database() as database:
                rows = database.execute("SELECT path, stamp, digest FROM files").fetchall()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # damaged; the database can be rebuilt
            self._path.unlink(missing_ok=True)
            return {}
        return {path: (stamp, digest) for path, stamp, digest in rows}

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))  # names of patients' files
        with closing(sqlite3.connect(self._path, timeout=60)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT, digest TEXT)")
            yield database


def _digest(file: Path, known: tuple[str, str] | None) -> tuple[Path, str, str]:
    try:
        state = file.stat()
        # ctime too, because a file that replaces another may keep its own modification time.
        stamp = f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}"
        if known is not None and known[0] == stamp:
            return file, stamp, known[1]
        with file.open("rb") as stream:
            return file, stamp, hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise S4miError(
            f"{file}: cannot be read ({error.strerror}); make it readable, or correct the manifest"
        ) from error
