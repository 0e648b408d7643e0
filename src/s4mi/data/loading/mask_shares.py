"""Share of foreground of masks, by the content of their files, so that a split reads no mask again."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from s4mi.data.files import decoding_revision
from s4mi.data.loading.cache_database import CacheDatabase
from s4mi.data.spec import MaskKey

SHARES_NAME = "masks.sqlite"
FORMAT = 1
AT_A_TIME = 16_384


class MaskShares:
    """Shares of foreground in a folder of caches; a damaged database is begun anew."""

    def __init__(self, folder: Path, mask_values: Mapping[MaskKey, str]) -> None:
        self._database = _database(folder)
        self._values = [(str(value), name) for value, name in mask_values.items()]  # the first name is the background
        self._ends: dict[int, bytes] = {}

    def read(self, masks: Sequence[Path], digests: Sequence[str]) -> list[float | None]:
        """Return the share of each mask, whose files have these hashes; None if it is not known.

        Raises:
            OSError, sqlite3.Error: the database cannot be opened.
        """
        keys = self._keys(masks, digests)

        def known(database: sqlite3.Connection) -> dict[bytes, float]:
            found: dict[bytes, float] = {}
            for start in range(0, len(keys), AT_A_TIME):
                some = keys[start : start + AT_A_TIME]
                marks = ",".join("?" * len(some))
                found.update(database.execute(f"SELECT key, share FROM shares WHERE key IN ({marks})", some))
            return found

        found = self._database.run(known)
        return [share if isinstance(share := found.get(key), float) and 0 <= share <= 1 else None for key in keys]

    def add(self, masks: Sequence[Path], digests: Sequence[str], shares: Sequence[float]) -> None:
        """Keep the shares of masks; raises as `read`."""
        rows = list(zip(self._keys(masks, digests), shares, strict=True))
        if rows:
            self._database.run(
                lambda database: database.executemany("INSERT OR REPLACE INTO shares VALUES (?, ?)", rows)
            )

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
    if (folder / SHARES_NAME).is_file():
        ends = [(one := bytes.fromhex(digest), one + b"\xff" * 8) for digest in digests]
        query = "DELETE FROM shares WHERE key BETWEEN ? AND ?"
        _database(folder).run(lambda database: database.executemany(query, ends))


def _database(folder: Path) -> CacheDatabase:
    create = "CREATE TABLE IF NOT EXISTS shares (key BLOB PRIMARY KEY, share REAL) WITHOUT ROWID"
    return CacheDatabase(folder / SHARES_NAME, create)
