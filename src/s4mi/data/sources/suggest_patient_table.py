"""Propose the import of images beside a table that lists their patients and not themselves.

No import takes labels from such a table alone, as it does not say which images are whose. The images are proposed with
their patients, if folders or names say them, and the table is named with what joins it.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from s4mi.data.names import normalised
from s4mi.data.sources.find_columns import columns_of_files
from s4mi.data.sources.patient_pattern import group_by_name, patient_of
from s4mi.data.sources.read_table import SourceTable
from s4mi.data.sources.suggest import has_image_column, suggest_options
from s4mi.data.sources.suggest_folder import Suggestion, suggest_folder
from s4mi.data.spec import Finding
from s4mi.errors import S4miError

PATTERNS = (
    r"^([^/]+)/", r"^[^/]+/([^/]+)/", r"([^/]+)/[^/]+$", r"^([^_]+)_", r"^([^-]+)-", r"^([^ ]+) ", r"^([^_]+_[^_]+)_",
)  # fmt: skip
"""Where names of images may hold their patient: a folder, or the beginning of the file name."""
OF_CLASSES = ("patients-as-classes", "one-class")
"""Codes of findings about folders of patients that are taken for classes."""


def suggest_patient_table(table: SourceTable, folder: Path) -> Suggestion | None:
    """Return the import of the images in a folder, with a warning about the table; None if it lists no patients.

    None too if a column of the table names files, or is called after images, or if there are no images.
    """
    options = suggest_options(table)
    if has_image_column(table) or columns_of_files(table)[0]:
        return None
    try:
        found, kind, arguments = suggest_folder(folder)
    except S4miError:
        return None
    names = [row.image.relative_to(found.folder).as_posix() for row in found.rows]
    once = [one for one in table.columns if one != options.label and len(_cells(table, one)) == len(table.records)]
    known = _patients_in(names, table, [*([options.group] if options.group else []), *once])
    column = known[0] if known is not None else options.group if options.group == options.image else None
    if column is None:
        return None
    if known is not None and "--group-pattern" not in arguments:
        if kind == "folder" and {*found.classes} <= _cells(table, column):
            arguments = [*arguments, *["--no-classes"] * bool(found.classes)]
            rows = tuple(replace(row, labels=None) for row in found.rows)
            findings = tuple(one for one in found.findings if one.code not in OF_CLASSES)
            found = replace(found, rows=rows, classes=(), findings=findings)
        grouped, _ = group_by_name(found.rows, known[1], source=found.folder)
        found, arguments = replace(found, rows=tuple(grouped)), [*arguments, "--group-pattern", known[1]]
    warning = Finding("table-of-patients", "warning", table.path.name, 1, _message(table, column, options.label))
    found = replace(found, kind=f"{found.kind}, and a table of patients", findings=(warning, *found.findings))
    return found, kind, arguments


def _patients_in(names: Sequence[str], table: SourceTable, columns: Sequence[str]) -> tuple[str, str] | None:
    """Return the column that lists the patients whom all names hold, and the pattern that finds them there."""
    for pattern in PATTERNS:
        expression = re.compile(pattern)
        found = {patient_of(name if "/" in pattern else PurePosixPath(name).name, expression) for name in names}
        if not found or None in found:
            continue
        if (column := next((one for one in columns if found <= _cells(table, one)), None)) is not None:
            return column, pattern
    return None


def _cells(table: SourceTable, column: str) -> set[str]:
    return {normalised(record.cells[column]) for record in table.records}


def _message(table: SourceTable, column: str, label: str | None) -> str:
    options = ["--group", column, "--join", table.path.name, "--on", column, *(["--label", label] if label else [])]
    return (
        f"{column!r} lists patients, not images, so the import below takes the images without this table; to use it, "
        f"write a table of the images with the columns image and {column}, and import that with {shlex.join(options)}"
    )
