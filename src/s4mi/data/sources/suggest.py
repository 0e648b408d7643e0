"""Which column of a table says what, from names and contents: for a suggestion, never for an import."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from s4mi.data.files import SUFFIXES, suffix_of
from s4mi.data.sources.read_table import SourceTable
from s4mi.data.sources.table import NO, YES, TableOptions
from s4mi.data.sources.types import PART_NAMES


def suggest_options(table: SourceTable) -> TableOptions:
    """The options that fit the names and contents of a table's columns; for a suggestion, never for an import."""
    first = table.records[:200]

    def holds(column: str, wanted: Iterable[str]) -> bool:
        return all(record.cells[column].lower() in wanted for record in first)

    def called(*names: str) -> str | None:
        return next((column for name in names for column in table.columns if column.lower() == name), None)

    files = [c for c in table.columns if any(suffix_of(Path(record.cells[c])) in SUFFIXES for record in first)]
    named = called("image", "image_path", "filename", "file_name", "file", "path")
    split = called("split", "part", "set", "subset")
    options = TableOptions(
        image=named or next(iter(files), None) or called("image_id", "id") or table.columns[0],
        mask=called("mask", "mask_path", "segmentation"),
        label=called("label", "labels", "class", "diagnosis", "dx", "target", "category", "finding", "findings"),
        group=called("group", "patient", "patient_id", "patientid", "subject", "subject_id", "lesion_id", "case"),
        split=split if split and holds(split, (*PART_NAMES, "")) else None,
    )
    if options.label is not None:
        return options
    by_prefix: dict[str, list[str]] = {}
    for column in table.columns:
        if "_" in column and holds(column, (*YES, *NO)):
            by_prefix.setdefault(column[: column.rindex("_") + 1], []).append(column)
    prefix, columns = next(((p, names) for p, names in by_prefix.items() if len(names) > 1), ("", []))
    return replace(options, one_hot=tuple(columns), one_hot_prefix=prefix)


def arguments(options: TableOptions) -> list[str]:
    """The command-line arguments that say `options`, leaving out what is so anyway."""
    usual = (
        ("image", "--image"),
        ("mask", "--mask"),
        ("label", "--label"),
        ("group", "--group"),
        ("split", "--split-column"),
    )
    said = []
    for name, flag in usual:
        column = getattr(options, name)
        if column is not None and column != name:
            said += [flag, column]
    if options.one_hot:
        said += ["--one-hot", ",".join(options.one_hot)]
    return said + (["--one-hot-prefix", options.one_hot_prefix] if options.one_hot_prefix else [])
