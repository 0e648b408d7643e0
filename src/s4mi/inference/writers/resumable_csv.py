"""A table written row by row that can be resumed after an interruption."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from s4mi.records import write_text_atomically

Cells = Sequence[str]


class ResumableCsv:
    """A CSV file whose first column is an id; a context manager.

    Rows are appended in the order they arrive. On exit they are sorted into the order of `ids`, so that a resumed table
    equals an uninterrupted one.
    """

    def __init__(self, path: Path, header: Cells, *, ids: Sequence[str], rows_per_id: int, resume: bool) -> None:
        """Prepare the table; nothing is written yet.

        Args:
            ids: final order of the ids; existing rows of other ids are dropped.
            rows_per_id: rows of each id; an id with fewer was interrupted and is dropped.
            resume: keep existing rows.
        """
        self.path = path
        self._header, self._ids = tuple(header), tuple(ids)
        self._rows: dict[str, list[Cells]] = {}
        self._file: TextIO | None = None
        if resume:
            known = set(self._ids)
            self._rows = {
                row_id: rows for row_id, rows in self._read().items() if row_id in known and len(rows) == rows_per_id
            }

    def has(self, ids: Iterable[str]) -> bool:
        """Whether all rows of these ids exist."""
        return all(row_id in self._rows for row_id in ids)

    def __enter__(self) -> "ResumableCsv":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self.path, self._text())
        self._file = self.path.open("a", newline="", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()
        write_text_atomically(self.path, self._text())

    def add(self, rows: Sequence[Cells]) -> None:
        """Write all rows of one or more ids at once, replacing any they had."""
        assert self._file is not None
        by_id: dict[str, list[Cells]] = {}
        for row in rows:
            by_id.setdefault(row[0], []).append(row)
        self._rows |= by_id
        self._file.write(_lines(rows))
        self._file.flush()

    def _read(self) -> dict[str, list[Cells]]:
        """The rows of each id in the file; an incomplete last line is dropped."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return {}
        complete = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(complete, newline="")))
        if not rows or tuple(rows[0]) != self._header:
            return {}
        by_id: dict[str, list[Cells]] = {}
        for row in rows[1:]:
            if len(row) == len(self._header):
                by_id.setdefault(row[0], []).append(row)
        return by_id

    def _text(self) -> str:
        return _lines([self._header, *(row for row_id in self._ids for row in self._rows.get(row_id, ()))])


def _lines(rows: Sequence[Cells]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
