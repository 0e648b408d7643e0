"""Check an XLSX file before its reader opens it.

The reader (calamine) ends the whole process if cells lie so far apart that the area between them does not fit in
memory, reads an invalid number of a text as text 0, and reads errors and formulas without a stored value as empty
cells: a row would lose its label without a word.
"""

import math
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from xml.parsers import expat

MAX_CELLS = 50_000_000
"""Greatest area of a sheet in cells, filled or not; the reader keeps about 32 bytes of each."""
MAX_PART = 1 << 30
"""Greatest size of a file in the archive in bytes."""
CHUNK = 1 << 16
PLACE = re.compile(r"([A-Z]{1,3})([1-9]\d{0,6})", re.IGNORECASE | re.ASCII)


class WorkbookError(ValueError):
    """What is wrong with a workbook, and what to do."""


@dataclass
class _Cell:
    place: str
    type: str
    text: str = ""
    formula: bool = False
    value: bool = False


def check_workbook(path: Path) -> None:
    """Check the XML of an XLSX file and the cells of its first sheet; other kinds of files are left to the reader.

    Raises:
        WorkbookError: it is damaged, or has cells that would be read as something else.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            first = _first_sheet(archive)
            for name in archive.namelist():
                if name.lower().endswith((".xml", ".rels")):
                    _parse(archive, name, _Sheet(name) if name == first else None)
    except (zipfile.BadZipFile, zlib.error, expat.ExpatError, NotImplementedError, EOFError, RuntimeError) as error:
        raise WorkbookError(f"{error}; save it again, or export it as CSV") from error


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """Return the name of the file that holds the first sheet; empty if there is none, which the reader says."""
    names = {name.lower(): name for name in archive.namelist()}
    book = next((name for name in names if PurePosixPath(name).name == "workbook.xml"), "")
    relations = str(PurePosixPath(book).parent / "_rels" / "workbook.xml.rels")
    if not book or relations not in names:
        return ""
    sheets: list[str] = []
    targets: dict[str, str] = {}

    def on_book(name: str, attributes: Mapping[str, str]) -> None:
        if name == "sheet":
            sheets.extend(value for key, value in attributes.items() if _local(key) == "id")

    def on_relations(name: str, attributes: Mapping[str, str]) -> None:
        if name == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    _parse(archive, names[book], _Elements(on_book))
    _parse(archive, names[relations], _Elements(on_relations))
    target = targets.get(sheets[0], "") if sheets else ""
    below = PurePosixPath(target.lstrip("/")) if target.startswith("/") else PurePosixPath(book).parent / target
    return names.get(str(below).lower(), "")


def _parse(archive: zipfile.ZipFile, name: str, handler: "_Elements | None") -> None:
    """Read a file of the archive to its end, which checks its checksum, as XML without document type."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    if handler is not None:
        parser.StartElementHandler = handler.start
        parser.EndElementHandler = handler.end
        parser.CharacterDataHandler = handler.text
    size = 0
    with archive.open(name) as file:
        while part := file.read(CHUNK):
            size += len(part)
            if size > MAX_PART:
                raise WorkbookError(f"{name} expands to more than {MAX_PART >> 30} GiB; export it as CSV")
            parser.Parse(part, False)
    parser.Parse(b"", True)


def _refuse_doctype(*_: Any) -> None:
    raise WorkbookError("has a document type, which no spreadsheet has; save it again, or export it as CSV")


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _Elements:
    """Calls a function with the local name and the attributes of each element."""

    def __init__(self, started: Callable[[str, Mapping[str, str]], None]) -> None:
        self._started = started

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._started(_local(name), attributes)

    def end(self, name: str) -> None:
        """Nothing is open."""

    def text(self, text: str) -> None:
        """No text is needed."""


class _Sheet(_Elements):
    """Checks the cells of a sheet."""

    def __init__(self, name: str) -> None:
        super().__init__(self._open)
        self._name, self._cell, self._in_value = name, None, False
        self._rows_seen: set[int] = set()
        self._columns_seen: set[int] = set()
        self._row, self._column = 0, 0
        self._rows, self._columns = [1 << 30, 0], [1 << 30, 0]

    _cell: _Cell | None

    def _open(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "row":
            number = attributes.get("r", "")
            self._row, self._column = int(number) if number.isdecimal() and len(number) < 8 else self._row + 1, 0
            self._once(self._row, self._rows_seen, f"row {self._row}")
            self._columns_seen.clear()
        elif name == "c":
            self._place(attributes.get("r"))
            self._cell = _Cell(f"{_letters(self._column)}{self._row}", attributes.get("t", "n"))
        elif self._cell is not None and name == "v":
            self._cell.value = self._in_value = True
        elif self._cell is not None and name == "f":
            self._cell.formula = True

    def end(self, name: str) -> None:
        name = _local(name)
        if name == "v":
            self._in_value = False
        elif name == "c" and self._cell is not None:
            self._check(self._cell)
            self._cell = None

    def text(self, text: str) -> None:
        if self._in_value and self._cell is not None:
            self._cell.text += text

    def _place(self, given: str | None) -> None:
        """Note where the next cell is, and that the area of all cells is small enough."""
        found = PLACE.fullmatch(given) if given is not None else None
        if given is not None and found is None:
            raise WorkbookError(f"{self._name}: {given[:20]!r} is no cell; save it again, or export it as CSV")
        if found is not None:
            self._row, self._column = int(found[2]), _number(found[1])
        else:
            self._column += 1
        self._once(self._column, self._columns_seen, f"cell {_letters(self._column)}{self._row}")
        for limits, value in ((self._rows, self._row), (self._columns, self._column)):
            limits[0], limits[1] = min(limits[0], value), max(limits[1], value)
        area = (self._rows[1] - self._rows[0] + 1) * (self._columns[1] - self._columns[0] + 1)
        if area > MAX_CELLS:
            raise WorkbookError(
                f"cell {_letters(self._column)}{self._row} is far from the others, so that the sheet has {area:,} "
                "cells; delete the rows or columns between them, or export it as CSV"
            )

    def _once(self, number: int, seen: set[int], what: str) -> None:
        if number in seen:
            raise WorkbookError(f"{what} is there twice; save it again, or export it as CSV")
        seen.add(number)

    def _check(self, cell: _Cell) -> None:
        text = cell.text.strip()
        if cell.type == "e":
            raise WorkbookError(f"cell {cell.place} holds the error {text[:20]}; correct it, or export it as CSV")
        if cell.formula and not cell.value:
            raise WorkbookError(
                f"cell {cell.place} holds a formula without its value; open and save it with a spreadsheet program, or "
                "export it as CSV"
            )
        if cell.type == "s" and not (text.isascii() and text.isdecimal() and len(text) < 10):
            raise WorkbookError(f"cell {cell.place}: {text[:20]!r} is no number of a text; save it again")
        if cell.type == "n" and text and not _is_finite(text):
            raise WorkbookError(f"cell {cell.place}: {text[:20]!r} is no number; correct it, or export it as CSV")


def _is_finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _number(letters: str) -> int:
    """Number of a column: A is 1, AA is 27."""
    number = 0
    for letter in letters.upper():
        number = 26 * number + ord(letter) - 64
    return number


def _letters(number: int) -> str:
    """Name of a column; empty for 0."""
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
