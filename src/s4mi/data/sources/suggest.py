"""Propose the options of an import command for a table, from the names and contents of its columns."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from s4mi.data.files import SUFFIXES, suffix_of
from s4mi.data.sources.read_table import SourceTable
from s4mi.data.sources.table import NO, YES
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import PART_NAMES


def suggest_options(table: SourceTable) -> TableOptions:
    """Propose the columns of a table for the options of an import; an import itself never guesses."""
    records = table.records[:200]

    def contains_only(column: str, values: Iterable[str]) -> bool:
        return all(record.cells[column].lower() in values for record in records)

    def named(*names: str) -> str | None:
        return next((column for name in names for column in table.columns if column.lower() == name), None)

    files = [c for c in table.columns if any(suffix_of(Path(record.cells[c])) in SUFFIXES for record in records)]
    image = named("image", "image_path", "filename", "file_name", "file", "path")
    split = named("split", "part", "set", "subset")
    options = TableOptions(
        image=image or next(iter(files), None) or named("image_id", "id") or table.columns[0],
        mask=named("mask", "mask_path", "segmentation"),
        label=named("label", "labels", "class", "diagnosis", "dx", "target", "category", "finding", "findings"),
        group=named("group", "patient", "patient_id", "patientid", "subject", "subject_id", "lesion_id", "case"),
        split=split if split and contains_only(split, (*PART_NAMES, "")) else None,
    )
    if options.label is not None:
        return options
    by_prefix: dict[str, list[str]] = {}
    for column in table.columns:
        if "_" in column and contains_only(column, (*YES, *NO)):
            by_prefix.setdefault(column[: column.rindex("_") + 1], []).append(column)
    prefix, columns = next(((p, names) for p, names in by_prefix.items() if len(names) > 1), ("", []))
    return replace(options, one_hot=tuple(columns), one_hot_prefix=prefix)


def command_arguments(options: TableOptions) -> list[str]:
    """Return the command-line arguments for `options`, without those that are the default."""
    flags = (
        ("image", "--image"),
        ("mask", "--mask"),
        ("label", "--label"),
        ("group", "--group"),
        ("split", "--split-column"),
    )
    arguments = []
    for name, flag in flags:
        column = getattr(options, name)
        if column is not None and column != name:
            arguments += [flag, column]
    if options.one_hot:
        arguments += ["--one-hot", ",".join(options.one_hot)]
    return arguments + (["--one-hot-prefix", options.one_hot_prefix] if options.one_hot_prefix else [])
