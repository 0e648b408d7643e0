"""Propose the options of an import command for a table, from the names and contents of its columns."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from s4mi.data.files import SUFFIXES, suffix_of
from s4mi.data.sources.file_lookup import FileLookup
from s4mi.data.sources.find_columns import columns_of_files
from s4mi.data.sources.label_names import NEGATIVE, combined, is_missing
from s4mi.data.sources.one_hot import NO, UNCERTAIN, YES
from s4mi.data.sources.read_table import SourceTable, read_table
from s4mi.data.sources.suggest_files import suggest_images, suggest_patients
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import PART_NAMES
from s4mi.errors import S4miError

IMAGES = (
    "image", "image_path", "imagepath", "filename", "file_name", "file", "path", "filepath", "file_path", "image_file",
    "image_index", "image_name", "bild", "bilddatei", "datei", "dateiname",
)  # fmt: skip
IMAGE_IDS = ("image_id", "imageid", "id_code", "isic_id", "id")
MASKS = ("mask", "mask_path", "mask_file", "segmentation", "maske", "segmentierung")
LABELS = (
    "label", "labels", "class", "classes", "class_name", "diagnosis", "dx", "target", "category", "finding", "findings",
    "finding_labels", "cell_type", "celltype", "tissue_type", "tumor_type", "tumour_type", "lesion_type", "disease",
    "pathology", "grade", "severity", "level", "stage", "retinopathy_grade", "diagnose", "befund", "klasse",
    "histologie", "diagnostic", "diagnostico", "diagnosi", "classe", "clase",
)  # fmt: skip
GROUPS = (
    "group", "patient", "patient_id", "patientid", "patient_no", "subject", "subject_id", "subjectid", "participant_id",
    "lesion_id", "case", "case_id", "study_id", "patienten_id", "patienten_nr", "patient_nr", "patientennummer",
    "pat_id", "pat_nr", "fall", "fall_id", "fallnummer", "paciente", "paziente",
)  # fmt: skip
SPLITS = ("split", "part", "set", "subset", "partition", "fold", "phase", "usage")
NO_LABELS = frozenset({"sex", "gender", "patient_gender", "patient_sex", "view", "view_position", "laterality", "side",
                       "eye", "race", "ethnicity", "scanner", "site", "hospital", "device", "camera", "operator",
                       "geschlecht", "auge", "seite", "klinik", "zentrum", "kamera"})  # fmt: skip
"""Columns of a few words that describe the patient or the recording."""
SIDES = frozenset({"od", "os", "ou", "left", "right", "l", "r", "links", "rechts", "li", "re", "m", "f", "w", "male",
                   "female"})  # fmt: skip
"""Cells that say which eye or side, or which sex."""
MAX_CATEGORIES = 30


def suggest_options(table: SourceTable) -> TableOptions:
    """Propose the columns of a table for the options of an import; an import itself never guesses."""
    records = table.records[:200]

    def contains_only(column: str, values: Iterable[str]) -> bool:
        return all(record.cells[column].lower() in values for record in records)

    def is_class(column: str) -> bool:
        cells = Counter(record.cells[column].lower() for record in records)
        unclear = (*UNCERTAIN, "")
        return contains_only(column, (*YES, *NO, *unclear)) and any(cells[value] for value in (*YES, *NO))

    def named(names: Iterable[str], *, usable: Callable[[str], bool] = lambda _: True) -> str | None:
        plain = {_plain(column): column for column in reversed(table.columns)}
        return next((plain[name] for name in names if name in plain and usable(plain[name])), None)

    files = [c for c in table.columns if any(suffix_of(Path(record.cells[c])) in SUFFIXES for record in records)]
    images, masks = columns_of_files(table)
    image = (
        named(IMAGES, usable=lambda column: not images or column in images)
        or next((column for column in (*files, *images) if column in images), None)
        or next(iter(files), None)
        or named(IMAGE_IDS)
        or table.columns[0]
    )
    options = TableOptions(
        image=image,
        mask=named(MASKS) or next((column for column in masks if column != image), None),
        label=named(LABELS, usable=lambda column: _is_label(table, column))
        or named(LABELS, usable=lambda column: _is_label(table, column, classes=1)),
        group=named(GROUPS),
        split=_parts(table, [split for split in (named(SPLITS), *table.columns) if split]),
    )
    if options.label is not None:
        return replace(options, **_cells(table, options.label))
    used = {options.image, options.mask, options.group, options.split}
    by_prefix: dict[str, list[str]] = {}
    for column in table.columns:
        if column not in used and is_class(column):
            by_prefix.setdefault(column[: column.rfind("_") + 1], []).append(column)
    prefix, columns = max(by_prefix.items(), key=lambda pair: len(pair[1]), default=("", []))
    if len(columns) > 1:
        return replace(options, one_hot=tuple(columns), one_hot_prefix=prefix, **_unclear(table, columns))
    if (label := _categories(table, used - {None})) is not None:
        return replace(options, label=label, **_cells(table, label))
    return replace(options, one_hot=tuple(columns), **_unclear(table, columns))


def _parts(table: SourceTable, columns: Sequence[str]) -> str | None:
    """Return the first column that holds names of parts of a split alone, at least two."""
    for column in columns:
        cells = {record.cells[column].lower() for record in table.records} - {""}
        if cells <= PART_NAMES.keys() and len({PART_NAMES[cell] for cell in cells}) > 1:
            return column
    return None


def _is_label(table: SourceTable, column: str, *, classes: int = 2) -> bool:
    """Whether a column holds so many classes, and in at least half of its cells a word that is no missing value."""
    cells = [record.cells[column] for record in table.records if record.cells[column]]
    known = [cell for cell in cells if not is_missing(cell)]
    return len(set(known)) >= classes and 2 * len(known) >= len(cells)


def _unclear(table: SourceTable, columns: Sequence[str]) -> dict[str, Any]:
    """Return the options for blank and uncertain cells of one-hot columns: blank is 0, uncertain is unknown."""
    cells = [[record.cells[column].lower() for column in columns] for record in table.records]
    options: dict[str, Any] = {}
    if any("" in row and any(row) for row in cells):
        options["blank"] = "no"
    if any(cell in UNCERTAIN for row in cells for cell in row):
        options["uncertain"] = "unknown"
    if negatives := tuple(column for column in columns if column.casefold() in NEGATIVE):
        options["negatives"] = negatives
    return options


def has_image_column(table: SourceTable) -> bool:
    """Whether a column is called after images, whether or not its cells are files."""
    return any(_plain(column) in IMAGES for column in table.columns)


def _plain(column: str) -> str:
    """Return the name of a column in lower case, with `_` for spaces and other signs: `Patient ID`, `PatientId`."""
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")


def _cells(table: SourceTable, label: str) -> dict[str, Any]:
    """Return the options for cells of several names, and for a name that means none of them."""
    counts = Counter(record.cells[label] for record in table.records if record.cells[label])
    found = combined(counts)
    separator = found[0] if found is not None and found[2] else None
    if separator is None:
        return {}
    names = {name.strip() for cell in counts for name in cell.split(separator)}
    alone = {name for name in names if name in counts and name.casefold() in NEGATIVE}
    options: dict[str, Any] = {"negatives": tuple(sorted(alone))} if alone else {}
    return options | ({"separator": separator} if separator != ";" else {})


def _categories(table: SourceTable, used: Container[str | None]) -> str | None:
    """Return the first column of a few words that repeat, which may be the classes."""
    for column in table.columns:
        if column in used or _plain(column) in NO_LABELS:
            continue
        cells = Counter(record.cells[column] for record in table.records if record.cells[column])
        if all(cell.lower() in SIDES for cell in cells):
            continue
        repeated = 2 <= len(cells) <= MAX_CATEGORIES and 2 * len(cells) <= sum(cells.values())
        if repeated and not any(re.search(r"\d", cell) for cell in cells):
            return column
    return None


@dataclass(frozen=True)
class TableChoice:
    """The table of a folder that lists most of its images, options for it, and a note on all tables."""

    path: Path
    options: TableOptions
    note: str


def choose_table(paths: Sequence[Path]) -> TableChoice | None:
    """Choose the table to import among several, or None if no table lists an existing image."""
    best: tuple[tuple[int, bool], TableChoice] | None = None
    notes, tables = [], dict[Path, SourceTable]()
    for path in paths:
        try:
            table = tables[path] = read_table(path)
        except S4miError:
            notes.append(f"{path.name} (unreadable)")
            continue
        options = with_files(table, suggest_options(table))
        lookup = FileLookup.below(path.parent, options.images or ("images",))
        found = sum(lookup.find(record.cells[options.image or ""]) is not None for record in table.records)
        label = options.label or ", ".join(options.one_hot)
        notes.append(f"{path.name} ({found} of {len(table.records)} images found{f', label {label}' if label else ''})")
        score = (found, bool(label))
        if found and (best is None or score > best[0]):
            best = score, TableChoice(path, options, "")
    if best is None:
        return None
    choice = best[1]
    options = _joined(tables, choice)
    hint = f"this is about {choice.path.name}; pass the path of another table to check that"
    return replace(choice, options=options, note=f"several tables: {'; '.join(notes)}; {hint}")


def with_files(table: SourceTable, options: TableOptions, *, others: Sequence[SourceTable] = ()) -> TableOptions:
    """Return the options with the folders of the images, and with patients from names if no column holds them.

    Args:
        others: the tables of the other parts of the split.
    """
    column = options.image or ""
    cells = [record.cells[column] for one in (table, *others) for record in one.records if column in record.cells]
    images = suggest_images(table.path.parent, cells)
    pattern = "" if options.group else suggest_patients(cells)
    options = replace(options, images=None if images == ("images",) else images, group_pattern=pattern)
    if not options.mask:
        return options
    listed = [cell for record in table.records if (cell := record.cells[options.mask])]
    masks = suggest_images(table.path.parent, listed, masks=True)
    return replace(options, masks=None if masks == ("masks",) else masks)


def _joined(tables: Mapping[Path, SourceTable], choice: TableChoice) -> TableOptions:
    """Return the options with a further table joined that names patients, or labels, if the chosen one does not."""
    options, chosen = choice.options, tables[choice.path]
    if options.label is None and not options.one_hot:
        others = {path: table for path, table in tables.items() if path != choice.path}
        if (labelled := _with_labels_of_patients(chosen, options, others)) is not None:
            return labelled
    if options.group is not None or options.image is None:
        return options
    own = {record.cells[options.image].partition(".")[0] for record in chosen.records}
    for path, table in tables.items():
        other = suggest_options(table)
        if path == choice.path or other.group is None or other.image is None:
            continue
        theirs = {record.cells[other.image].partition(".")[0] for record in table.records}
        if own <= theirs:
            on = None if other.image == options.image else f"{options.image}={other.image}"
            return replace(options, join=(Path(path.name),), join_on=on, group=other.group, group_pattern="")
    return options


def _with_labels_of_patients(
    chosen: SourceTable, options: TableOptions, others: Mapping[Path, SourceTable]
) -> TableOptions | None:
    """Return the options with the first other table joined that has a row, and a label, for each patient."""
    for path, table in others.items():
        other = suggest_options(table)
        if other.label is None or other.label in chosen.columns:
            continue
        shared = [column for column in chosen.columns if column in table.columns and column != options.image]
        for own in [options.group] if options.group else shared:
            patients = {record.cells[own] for record in chosen.records} - {""}
            columns = table.columns if options.group else (own,)
            theirs = next((column for column in columns if patients and _lists_each(table, column, patients)), None)
            if theirs is not None:
                return replace(
                    other, image=options.image, mask=options.mask, group=own, split=options.split,
                    images=options.images, masks=options.masks, join=(Path(path.name),),
                    join_on=own if theirs == own else f"{own}={theirs}",
                )  # fmt: skip
    return None


def _lists_each(table: SourceTable, column: str, patients: AbstractSet[str]) -> bool:
    """Whether a column holds each of these patients, and no cell twice."""
    cells = [record.cells[column] for record in table.records]
    return patients <= {*cells} and len({*cells}) == len(cells)


def command_arguments(options: TableOptions) -> list[str]:
    """Return the command-line arguments for `options`, without those that are the default."""
    flags = (
        ("image", "--image"),
        ("mask", "--mask"),
        ("label", "--label"),
        ("group", "--group"),
        ("split", "--split-column"),
    )
    arguments: list[str] = []
    for name, flag in flags:
        column = getattr(options, name)
        if column is not None and column != name:
            arguments += [flag, column]
    if options.one_hot:
        arguments += ["--one-hot", ",".join(options.one_hot)]
    for flag, text in (
        ("--blank", options.blank), ("--uncertain", options.uncertain), ("--label-separator", options.separator),
        ("--group-pattern", options.group_pattern or None), ("--on", options.join_on),
    ):  # fmt: skip
        arguments += [] if text is None else [flag, text]
    arguments += [argument for path in options.join for argument in ("--join", str(path))]
    for flag, folders in (("--images", options.images), ("--masks", options.masks)):
        arguments += [argument for name in folders or () for argument in (flag, name)]
    arguments += [argument for name in options.negatives for argument in ("--negative", name)]
    return arguments + (["--one-hot-prefix", options.one_hot_prefix] if options.one_hot_prefix else [])
