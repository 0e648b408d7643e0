"""Share of foreground of masks, by the content of their files, so that a split reads no mask again."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from s4mi.data.files import decoding_revision
from s4mi.data.loading.damaged_database import is_damaged
from s4mi.data.spec import MaskKey

SHARES_NAME = "masks.sqlite"
FORMAT = 1
AT_A_TIME = 16_384


class MaskShares:
    """Shares of foreground in a folder of caches; a damaged database is begun anew."""

    def __init__(self, folder: Path, mask_values: Mapping[MaskKey, str]) -> None:
        self._path = folder / SHARES_NAME
        self._values = sorted((str(value), name) for value, name in mask_values.items())
        self._ends: dict[int, bytes] = {}

    def read(self, masks: Sequence[Path], digests: Sequence[str]) -> list[float | None]:
        """Return the share of each mask, whose files have these hashes; None if it is not known.

        Raises:
            OSError, sqlite3.Error: the database cannot be opened.
        """
        keys = self._keys(masks, digests)
        found: dict[bytes, float] = {}
        try:
            with _database(self._path) as database:
                for start in range(0, len(keys), AT_A_TIME):
                    some = keys[start : start + AT_A_TIME]
                    marks = ",".join("?" * len(some))
                    found.update(database.execute(f"SELECT key, share FROM shares WHERE key IN ({marks})", some))
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            self._path.unlink(missing_ok=True)
        return [share if isinstance(share := found.get(key), float) and 0 <= share <= 1 else None for key in keys]

    def add(self, masks: Sequence[Path], digests: Sequence[str], shares: Sequence[float]) -> None:
        """Keep the shares of masks; raises as `read`."""
        rows = list(zip(self._keys(masks, digests), shares, strict=True))
        if not rows:
            return
        try:
            self._write(rows)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            self._path.unlink(missing_ok=True)
            self._write(rows)

    def _write(self, rows: Sequence[tuple[bytes, float]]) -> None:
        with _database(self._path) as database:
            database.executemany("INSERT OR REPLACE INTO shares VALUES (?, ?)", rows)

    def _keys(self, masks: Sequence[Path], digests: Sequence[str]) -> list[bytes]:
        keys = []
        for mask, digest in zip(masks, digests, strict=True):
            revision = decoding_revision(mask)
            if revision not in self._ends:
                text = f"{FORMAT} {revision} {self._values}"
                self._ends[revision] = hashlib.blake2b(text.encode(), digest_size=8).digest()
            keys.append(bytes.fromhex(digest) + self._ends[revision])
        return keys


def forget_mask_shares(folder: Path, digests: Iterable[str]) -> None:
    """Remove the shares of masks with these hashes, or all of them if the database is damaged."""
    path = folder / SHARES_NAME
    if not path.is_file():
        return
    prefixes = [bytes.fromhex(digest) for digest in digests]
    try:
        with _database(path) as database:
            database.executemany(
                "DELETE FROM shares WHERE key BETWEEN ? AND ?", [(one, one + b"\xff" * 8) for one in prefixes]
            )
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise
        path.unlink()


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # of patients
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.execute("PRAGMA secure_delete = ON")
        database.execute("CREATE TABLE IF NOT EXISTS shares (key BLOB PRIMARY KEY, share REAL) WITHOUT ROWID")
        yield database
