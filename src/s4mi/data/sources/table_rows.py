"""The images, masks, labels, patients and parts of the split in the rows of a table."""

import shlex
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from s4mi.data.files import SUFFIXES, stem_of, suffix_of
from s4mi.data.formats import arrays, nifti, nrrd, raster, tiff
from s4mi.data.names import normalised
from s4mi.data.relative_name import relative_name
from s4mi.data.row import PARTS, Row
from s4mi.data.sources.file_lookup import FileLookup
from s4mi.data.sources.find_columns import columns_of_files
from s4mi.data.sources.one_hot import OneHotLabels, read_one_hot
from s4mi.data.sources.patient_pattern import compile_pattern, patient_of
from s4mi.data.sources.read_table import SourceTable, TableRow
from s4mi.data.sources.suggest_files import suggest_images
from s4mi.data.sources.table_labels import parse_labels
from s4mi.data.sources.table_options import TableOptions
from s4mi.data.sources.types import PART_NAMES
from s4mi.data.spec import Finding
from s4mi.data.walk import image_files
from s4mi.errors import S4miError, nearest
from s4mi.records import Part

SET_FOLDER, OR_SKIP = "set its folder with --{}s", ", or use --skip-missing"
LOST_ZEROS = "there is a file {!r}: store the column as text, with its zeros, in the spreadsheet"
NOWHERE = SET_FOLDER.format("image") + OR_SKIP
"""How the message on an image ends that is in no folder below that of the table."""
VOLUMES = (*nifti.SUFFIXES, *nrrd.SUFFIXES, *tiff.SUFFIXES, *arrays.SUFFIXES, *raster.MULTI_FRAME)
"""Extensions of files that may hold several images, which an import keeps together."""


@dataclass
class TableReader:
    """Reads the rows of one table; their errors are collected in `findings`."""

    table: SourceTable
    options: TableOptions
    part: Part | None
    source: Path
    findings: list[Finding] = field(default_factory=list)
    label_names: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    _folders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _numbers: dict[str, str] | None = None

    def __post_init__(self) -> None:
        options = self.options
        self._missing: list[tuple[str, str]] = []
        self.image = self._require("image" if options.image is None else options.image, option="--image")
        self.mask = self._column(options.mask, default="mask", option="--mask")
        self.label = None if options.one_hot else self._column(options.label, default="label", option="--label")
        self.group = self._column(options.group, default="group", option="--group")
        self.split = self._column(options.split, default="split", option="--split-column")
        for column in options.one_hot:
            self._require(column, option="--one-hot")
        if self._missing:
            raise self.table.missing(self._missing, images=columns_of_files(self.table)[0])
        if options.one_hot and options.label:
            raise S4miError(f"--label {options.label!r}: cannot be combined with --one-hot; use one of them")
        self.pattern = compile_pattern(options.group_pattern) if options.group_pattern else None
        if self.pattern is not None and options.group:
            raise S4miError(f"--group {options.group!r}: cannot be combined with --group-pattern; use one of them")
        if self.pattern is not None:
            self.group = None
        self.folder = self.table.path.parent
        self.images = FileLookup.below(self.folder, options.images or ("images",))
        self.masks = FileLookup.below(self.folder, options.masks or ("masks",))

    def rows(self) -> list[Row]:
        """Return the rows without errors."""
        rows: list[Row] = []
        line_of: dict[Path, int] = {}
        for record in self.table.records:
            before = len(self.findings)
            row = self._row(record)
            if row is None or len(self.findings) > before:
                continue
            if row.image in line_of:
                message = f"image {record.cells[self.image]!r} is already in line {line_of[row.image]}; keep one row"
                self._error("image-twice", record, message)
                continue
            line_of[row.image] = record.line
            rows.append(row)
        self._note_lacking_patients(rows)
        self._note_no_image()
        return rows

    def _note_no_image(self) -> None:
        """Replace the errors on all files by one if no cell is that of an image, as in a table of patients."""
        missing = [one for one in self.findings if one.code == "missing-image" and one.message.endswith(NOWHERE)]
        if 1 < len(missing) == len(self.table.records):
            cell = self.table.records[0].cells[self.image]
            joined = "; a table of patients is joined to one of images with --join" if self.image == self.group else ""
            message = (
                f"no cell of {self.image!r} is the name of an image below {self.folder} (e.g. {cell!r}); choose their "
                f"column with --image, or their folder with --images{joined}"
            )
            kept = [one for one in self.findings if one not in missing]
            self.findings[:] = [*kept, replace(missing[0], line=1, message=message)]

    def _note_lacking_patients(self, rows: list[Row]) -> None:
        """Warn of volumes and stacks without a patient among others, as merged cells leave them.

        Each becomes a patient of its own, so that no later check would see that one is missing.
        """
        lacking = [row for row in rows if row.group is None and suffix_of(row.image) in VOLUMES]
        if self.group and 0 < len(lacking) < len(rows):
            message = (
                f"{len(lacking)} of {len(rows)} rows without a patient in {self.group!r}, first in line "
                f"{lacking[0].line}: no split can keep their images with others of the same patient; fill in the cells "
                "(of merged cells only the first holds the value)"
            )
            file = relative_name(self.table.path, self.source)
            self.findings.append(Finding("no-patient", "warning", file, None, message))

    def labels(self, record: TableRow) -> OneHotLabels:
        """Return the labels of a record."""
        if not self.options.one_hot:
            return OneHotLabels(self._labels(record))
        labels = read_one_hot(record.cells, self.options)
        self.unknown.update(labels.unknown)
        for error in labels.errors:
            self._error("one-hot", record, error)
        return labels

    def _require(self, column: str, *, option: str) -> str:
        if column not in self.table.columns:
            self._missing.append((column, option))
        return column

    def _column(self, column: str | None, *, default: str, option: str) -> str | None:
        if column is None:
            return default if default in self.table.columns else None
        return self._require(column, option=option) if column else None

    def _row(self, record: TableRow) -> Row | None:
        image = self._file(record, self.image, kind="image", lookup=self.images)
        mask = self._file(record, self.mask, kind="mask", lookup=self.masks) if self.mask else None
        if not record.cells[self.image]:
            self._error("no-image", record, f"the cell {self.image!r} is empty; fill in a file name or remove the row")
        labels = self.labels(record)
        split = self._split(record)
        if image is None:
            return None
        if mask == image:
            self._error(
                "mask-is-image", record, f"mask {image.name!r} is the image itself; set its folder with --masks"
            )
        group = normalised(record.cells[self.group]) if self.group else self._patient(record)
        return Row(
            "", image, mask, labels.names, group=group or None, split=split, line=record.line, unknown=labels.unknown
        )

    def _patient(self, record: TableRow) -> str:
        if self.pattern is None:
            return ""
        cell = record.cells[self.image]
        if (patient := patient_of(cell, self.pattern)) is None:
            pattern = f"--group-pattern {self.options.group_pattern!r}"
            self._error("no-group", record, f"image {cell!r} not matched by {pattern}; make the pattern more general")
        return patient or ""

    def _file(self, record: TableRow, column: str, *, kind: str, lookup: FileLookup) -> Path | None:
        cell = record.cells[column]
        if not cell:
            return None
        path = lookup.find(cell)
        if path is None:
            folders = " or ".join(str(folder) for folder in lookup.folders)
            message = f"{kind} {cell!r} not found in {folders}; {self._place(column, cell, kind)}{OR_SKIP}"
            self._error(f"missing-{kind}", record, message)
        elif several := lookup.several(cell):
            names = " and ".join(relative_name(one, self.folder) for one in several)
            message = f"{kind} {cell!r} is in several folders ({names}); write the folder in the cell, or name one with"
            self._error(f"ambiguous-{kind}", record, f"{message} --{kind}s")
        return path

    def _place(self, column: str, cell: str, kind: str) -> str:
        """Return a hint at the folder of a file, searched once below that of the table."""
        if kind not in self._folders:
            cells = [text for record in self.table.records if (text := record.cells[column])]
            self._folders[kind] = suggest_images(self.folder, cells, masks=kind == "mask")
        names = self._folders[kind]
        if FileLookup.below(self.folder, names).find(cell) is None:
            padded = self._with_zeros(cell)
            return LOST_ZEROS.format(padded) if padded else SET_FOLDER.format(kind)
        return f"use {shlex.join(argument for name in names for argument in (f'--{kind}s', name))}"

    def _with_zeros(self, cell: str) -> str:
        """Return the name of a file that differs from a cell only in zeros before its number, or `''`."""
        if self._numbers is None:
            stems = [stem_of(file) for file in image_files(self.folder)]
            self._numbers = {stem.lstrip("0"): stem for stem in stems if stem.isdecimal()}
        stem = stem_of(Path(cell)) if suffix_of(Path(cell)) in SUFFIXES else cell
        other = self._numbers.get(stem.lstrip("0"), "") if stem.isdecimal() else ""
        return "" if other == stem else other

    def _labels(self, record: TableRow) -> tuple[str, ...] | None:
        cell = record.cells[self.label] if self.label else ""
        if not cell:
            return None
        labels = parse_labels(cell, self.options)
        self.label_names.update(labels.names or labels.negatives)
        if labels.error:
            self._error("no-label", record, labels.error)
        return labels.names

    def _split(self, record: TableRow) -> Part | None:
        cell = record.cells[self.split] if self.split else ""
        if not cell:
            return self.part
        part = PART_NAMES.get(cell.lower())
        if part is None:
            near = nearest(cell, PARTS)
            hint = f"{near} Or use" if near else "; correct the cell, or use"
            message = f"split {cell!r} is not train, val or test{hint} --split-column '' to ignore the column"
            self._error("unknown-split", record, message)
        return part

    def _error(self, code: str, record: TableRow, message: str) -> None:
        file = relative_name(self.table.path, self.source)
        self.findings.append(Finding(code, "error", file, record.line, message))
