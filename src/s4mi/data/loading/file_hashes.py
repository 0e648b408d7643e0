"""Content hashes of files, remembered so that unchanged files are not read again."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from s4mi.errors import S4miError


class FileHashes:
    """Content hashes of files, remembered by path, size and time so that unchanged files are not reread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def of(self, files: Iterable[Path]) -> dict[Path, str]:
        """The hash of each file, reading those that are new or changed.

        Raises:
            S4miError: a file cannot be read.
        """
        wanted = list(dict.fromkeys(files))
        known = self._known()
        digests: dict[Path, str] = {}
        fresh: list[tuple[str, str, str]] = []
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for file, stamp, digest in pool.map(lambda file: _fingerprint(file, known.get(str(file))), wanted):
                digests[file] = digest
                if known.get(str(file)) != (stamp, digest):
                    fresh.append((str(file), stamp, digest))
        if fresh:
            with self._database() as database:
                database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", fresh)
        return digests

    def _known(self) -> dict[str, tuple[str, str]]:
        try:
            with self._database() as database:
                rows = database.execute("SELECT path, stamp, digest FROM files").fetchall()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # damaged; it only saves time
            self._path.unlink(missing_ok=True)
            return {}
        return {path: (stamp, digest) for path, stamp, digest in rows}

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=60)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stamp TEXT, digest TEXT)")
            yield database


def _fingerprint(file: Path, known: tuple[str, str] | None) -> tuple[Path, str, str]:
    try:
        state = file.stat()
        # The time of the last change to the file's entry too: a file put in place of another may keep its own time.
        stamp = f"{state.st_size}-{state.st_mtime_ns}-{state.st_ctime_ns}"
        if known is not None and known[0] == stamp:
            return file, stamp, known[1]
        with file.open("rb") as stream:
            return file, stamp, hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise S4miError(f"{file}: cannot be read ({error.strerror}); make it readable or mend the manifest") from error
