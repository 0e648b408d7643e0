"""Lists of `s4mi suggest` that name images of a patient, and how these are removed from them."""

import csv
import io
from collections.abc import Collection
from pathlib import Path

from s4mi.records import write_text_atomically

COLUMNS = frozenset({"rank", "id", "patient", "near", "why"})
"""Columns by which such a list is recognised."""


def read_table(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file; none if it is missing or no such file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: value or "" for name, value in row.items() if name} for row in csv.DictReader(file)]
    except (FileNotFoundError, UnicodeDecodeError, csv.Error):
        return []


def names_patient(table: Path, patient: str, ids: Collection[str]) -> bool:
    """Whether a table is a list of suggestions that names an image of the patient, also as one that others are near."""
    rows = read_table(table)
    if not rows or not {*rows[0]} >= COLUMNS:
        return False
    return any(_is_of(row, patient, ids) or row["near"] in ids for row in rows)


def erase_suggestions(table: Path, patient: str, ids: Collection[str]) -> None:
    """Remove the images of a patient from a list of suggestions, and what it says of others that are near them."""
    rows = read_table(table)
    if not rows:
        return
    kept = [
        row if row["near"] not in ids else row | {"near": "", "why": ""}
        for row in rows
        if not _is_of(row, patient, ids)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept)
    write_text_atomically(table, text.getvalue())


def _is_of(row: dict[str, str], patient: str, ids: Collection[str]) -> bool:
    return row["patient"] == patient and row["id"] in ids
