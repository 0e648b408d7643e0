"""SQLite databases of a cache: readable by their owner alone, and begun anew where they are damaged.

A damaged database can be made again; a disk that fails cannot, and is said.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Also a table with other columns: every query of this package is correct on its own."""

log = logging.getLogger("s4mi")


class CacheDatabase:
    """A database that several processes may use.

    Args:
        create: statements that create its tables unless they are there.
        format: its `user_version`; the tables `outdated` of a database of another format are removed.
    """

    def __init__(self, path: Path, *create: str, format: int = 0, outdated: Sequence[str] = ()) -> None:
        self._path, self._create, self._format, self._outdated = path, create, format, outdated

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `work` makes of the database, and commit; if it is damaged, of an empty one in its place.

        Raises:
            OSError, sqlite3.Error: it cannot be read or written.
        """
        try:
            return self._connected(work)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            log.warning("%s: damaged (%s); what it kept is made again", self._path, error)
            self.remove()
            return self._connected(work)

    def remove(self) -> None:
        """Remove the database, which is begun anew."""
        self._path.unlink(missing_ok=True)

    def _connected(self, work: Callable[[sqlite3.Connection], T]) -> T:
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))  # of patients
        with closing(sqlite3.connect(self._path, timeout=60)) as database, database:
            database.execute("PRAGMA secure_delete = ON")
            if self._format and database.execute("PRAGMA user_version").fetchone() != (self._format,):
                for table in self._outdated:
                    database.execute(f"DROP TABLE IF EXISTS {table}")
                database.execute("VACUUM")
                database.execute(f"PRAGMA user_version = {self._format}")
            for statement in self._create:
                database.execute(statement)
            return work(database)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether an error says that a file is no database, or not one of this package."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED
