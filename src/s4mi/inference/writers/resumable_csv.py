"""A table that grows row by row, and goes on after it was interrupted."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from s4mi.records import write_text_atomically

Cells = Sequence[str]


class ResumableCsv:
    """A CSV file whose first column names an image; a context manager.

    While it grows, rows stand in the order in which they came. In the end they stand in the order asked for, so that
    an interrupted table becomes the same as one that never was.
    """

    def __init__(self, path: Path, header: Cells, *, ids: Sequence[str], rows_each: int, resume: bool) -> None:
        """Begin.

        Args:
            ids: images in their order in the end; rows of others, from another time, are dropped.
            rows_each: rows of each image; an image with fewer was interrupted.
            resume: keep what is there.
        """
        self.path = path
        self._header, self._ids, self._each = tuple(header), tuple(ids), rows_each
        self._rows: dict[str, list[Cells]] = {}
        self._file: TextIO | None = None
        if resume:
            wanted = set(self._ids)
            self._rows = {
                name: rows for name, rows in self._read().items() if name in wanted and len(rows) == rows_each
            }

    def has(self, ids: Iterable[str]) -> bool:
        """Whether all rows of these images are there."""
        return all(name in self._rows for name in ids)

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
        """All rows of one or more images, written at once, instead of any they had."""
        assert self._file is not None
        made: dict[str, list[Cells]] = {}
        for row in rows:
            made.setdefault(row[0], []).append(row)
        self._rows |= made
        self._file.write(_lines(rows))
        self._file.flush()

    def _read(self) -> dict[str, list[Cells]]:
        """The rows of each image in the file; a torn last line is no row."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError):
            return {}
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(whole, newline="")))
        if not rows or tuple(rows[0]) != self._header:
            return {}
        found: dict[str, list[Cells]] = {}
        for row in rows[1:]:
            if len(row) == len(self._header):
                found.setdefault(row[0], []).append(row)
        return found

    def _text(self) -> str:
        return _lines([self._header, *(row for name in self._ids for row in self._rows.get(name, ()))])


def _lines(rows: Sequence[Cells]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
