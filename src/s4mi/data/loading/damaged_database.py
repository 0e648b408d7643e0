"""Tell a damaged database of a cache, which can be made again, from a disk that fails, which is said."""

import sqlite3

_DAMAGED = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Also a table with other columns: every query of this package is correct on its own."""


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether an error says that a file is no database, or not one of this package."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED
