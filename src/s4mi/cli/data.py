"""`s4mi data`: make data set folders from images, and find what is wrong with them."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from s4mi.data.check import Report
    from s4mi.data.sources.writing import Found, Naming
    from s4mi.data.spec import Finding

app = typer.Typer(help="Import data sets and check them.", no_args_is_help=True)
imports = typer.Typer(help="Make a data set folder from images; the originals stay untouched.", no_args_is_help=True)
app.add_typer(imports, name="import")

SHOWN = 20
"""Findings of one kind that are printed; one broken export can fill thousands of lines, and `--json` holds them all."""

Source = Annotated[Path, typer.Argument(metavar="SRC", help="Folder to import from.")]
Out = Annotated[Path, typer.Option("-o", "--out", metavar="DST", help="Folder of the data set.")]
Name = Annotated[str, typer.Option("--name", help="Name of the data set; else the name of DST.")]
Origin = Annotated[str, typer.Option("--source", help="Where the images come from, as text or address.")]
Licence = Annotated[str, typer.Option("--licence", help="Terms of the images, e.g. CC0-1.0.")]
Copy = Annotated[bool, typer.Option("--copy", help="Copy images and masks into DST instead of pointing to them.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the data set that is in DST.")]
Foreground = Annotated[str, typer.Option("--foreground", help="What masks with one value beside 0 show.")]
MaskValue = Annotated[
    list[str] | None,
    typer.Option("--mask-value", metavar="VALUE=NAME", help="Name a pixel value of the masks, e.g. 2=nucleus; repeat."),
]
Masks = Annotated[str, typer.Option("--masks", metavar="DIR", help="Folder of masks, relative to SRC.")]
Images = Annotated[str, typer.Option("--images", metavar="DIR", help="Folder of images, relative to SRC.")]


@app.command()
def check(
    path: Annotated[
        Path, typer.Argument(help="A data set folder, a folder of several, a folder of images, or a table.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings fail the check as well.")] = False,
) -> None:
    """Decode everything; say what is there and what is wrong, with file, line and cure. Errors end it with status 1."""
    from s4mi.data.check import check_path

    with _progress() as bar:
        reports = check_path(path, progress=lambda done, of: bar("decoding", done, of))
    errors, warnings = (sum(report.count(severity) for report in reports) for severity in ("error", "warning"))
    if as_json:
        typer.echo(_as_json(reports, errors=errors, warnings=warnings))
    else:
        for report in reports:
            _print_report(report, several=len(reports) > 1)
        _print(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}", style="red" if errors else "green")
    if errors or (strict and warnings):
        raise typer.Exit(1)


@imports.command()
def folder(
    source: Source,
    out: Out,
    images: Images = "images",
    masks: Masks = "masks",
    mask_suffix: Annotated[
        str, typer.Option("--mask-suffix", help="What mask names add to image names, e.g. _segmentation.")
    ] = "",
    group_pattern: Annotated[
        str, typer.Option("--group-pattern", metavar="REGEX", help="Its group 1, in the file name, is the patient.")
    ] = "",
    classes: Annotated[bool, typer.Option("--classes/--no-classes", help="Whether sub-folders are classes.")] = True,
    foreground: Foreground = "foreground",
    mask_value: MaskValue = None,
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """A folder per class; or images/ and masks/ of the same names; or just images. Each also in train/, val/, test/."""
    from s4mi.data.sources.folder import FolderOptions, read_folder

    options = FolderOptions(
        images=images, masks=masks, mask_suffix=mask_suffix, group_pattern=group_pattern, classes=classes
    )
    naming = _naming(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    _write(read_folder(source, options), out, naming=naming, copy=copy, force=force)


@imports.command()
def table(
    source: Annotated[
        Path,
        typer.Argument(metavar="SRC", help="CSV, TSV, Parquet or Excel; or a folder with one; or with train/val/test."),
    ],
    out: Out,
    image: Annotated[str | None, typer.Option("--image", metavar="COLUMN", help="Image files (else: image).")] = None,
    mask: Annotated[str | None, typer.Option("--mask", metavar="COLUMN", help="Mask files (else: mask).")] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="Class, or several joined by ';' (else: label).")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", metavar="COLUMN", help="Patient or lesion (else: group).")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split-column", metavar="COLUMN", help="Official train, val or test (else: split).")
    ] = None,
    one_hot: Annotated[
        str,
        typer.Option("--one-hot", metavar="COLUMN,...", help="Columns of 0 and 1, one a class, not --label."),
    ] = "",
    one_hot_prefix: Annotated[str, typer.Option("--one-hot-prefix", help="What to cut from their names.")] = "",
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Images may show several classes, even if none here does.")
    ] = False,
    images: Images = "images",
    masks: Masks = "masks",
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave rows out whose image or mask is not there.")
    ] = False,
    foreground: Foreground = "foreground",
    mask_value: MaskValue = None,
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """A table with a row an image. A column not named here is found by its usual name; '' means none."""
    from s4mi.data.sources.table import TableOptions, read_tables

    options = TableOptions(
        image=image, mask=mask, label=label, group=group, split=split,
        one_hot=tuple(column.strip() for column in one_hot.split(",") if column.strip()),
        one_hot_prefix=one_hot_prefix, multilabel=multilabel, images=images, masks=masks,
    )  # fmt: skip
    naming = _naming(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    _write(read_tables(source, options), out, naming=naming, copy=copy, force=force, skip_missing=skip_missing)


@imports.command()
def isic2017(
    source: Source,
    out: Out,
    name: Name = "isic2017",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """ISIC-2017 as its official archives unpack, with masks, diagnoses and the official split."""
    from s4mi.data.sources.isic2017 import LICENCE, SOURCE, read_isic2017

    naming = _naming(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="lesion")
    _write(read_isic2017(source), out, naming=naming, copy=copy, force=force)


def _naming(
    out: Path, name: str, *, origin: str, licence: str, foreground: str, mask_value: Sequence[str] | None = None
) -> "Naming":
    from s4mi.data.sources.writing import Naming
    from s4mi.errors import S4miError

    values = {}
    for said in mask_value or ():
        value, equals, class_name = said.partition("=")
        if not equals or not value.strip().isdecimal() or not class_name.strip():
            raise S4miError(f"--mask-value {said!r}: is not VALUE=NAME; write e.g. 2=nucleus")
        values[int(value)] = class_name.strip()
    name = name or out.expanduser().resolve().name
    return Naming(name, source=origin, licence=licence, foreground=foreground, mask_values=values)


def _write(found: "Found", out: Path, *, naming: "Naming", copy: bool, force: bool, skip_missing: bool = False) -> None:
    from s4mi.data.manifest import PARTS
    from s4mi.data.sources.writing import write_import

    with _progress() as bar:
        written = write_import(
            found, out, naming=naming, copy=copy, force=force, skip_missing=skip_missing, progress=bar
        )
    spec, rows = written.spec, written.rows
    where = "copied" if copy else f"referenced in {found.folder}"
    shown = Counter(name for row in rows for name in row.labels or ())
    parts = Counter(row.split for row in rows if row.split)
    groups = len({row.group for row in rows if row.group})
    _print(f"{spec.name}: {found.kind}, now the data set {out}", style="bold")
    _print_facts(
        ("images", f"{len(rows)}, {where}"),
        ("tasks", ", ".join(spec.tasks) or "none; it can serve to pre-train"),
        ("classes", _counts((name, shown[name]) for name in spec.classes)),
        ("masks", f"{sum(row.mask is not None for row in rows)}" if spec.mask_values else ""),
        ("mask values", ", ".join(f"{value} {name}" for value, name in spec.mask_values.items())),
        ("patients", str(groups or "")),
        ("official split", _counts((part, parts[part]) for part in PARTS if part in parts)),
    )
    _print_findings(written.findings)
    _print(f"now look at it whole: s4mi data check {out}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of)


def _print_report(report: "Report", *, several: bool) -> None:
    _print(f"{report.name}: {report.kind} ({report.path})", style="bold")
    if (summary := report.summary) is not None:
        sizes, per_group, images = summary.sizes, summary.images_per_group, summary.images
        each = "" if per_group is None else f", {per_group[0]} to {per_group[2]} images each (median {per_group[1]:g})"
        share = ", ".join(f"{name} {100 * share:.1f} %" for name, share in summary.foreground.items())
        size = "" if sizes is None else "×".join(map(str, sizes.median))
        if sizes is not None and sizes.distinct > 1:
            least, greatest = ("×".join(map(str, end)) for end in (sizes.smallest, sizes.largest))
            size = f"{sizes.distinct} sizes from {least} to {greatest}, median {size}"
        _print_facts(
            ("images", str(images)),
            ("height×width", size),
            ("channels", _counts(pair for pair in summary.channels.items() if pair[1])),
            ("labelled", f"{summary.labelled} of {images}"),
            ("classes", _counts(summary.classes.items())),
            ("of no class", str(summary.no_class or "")),
            ("masks", f"{summary.masked} of {images}"),
            ("pixels", share),
            ("neither", f"{summary.unannotated} of {images} are unannotated" if summary.unannotated else ""),
            ("patients", f"{summary.groups}{each}" if summary.groups else "not known"),
            ("official split", _counts(summary.splits.items()) or "none"),
        )
    _print_findings(report.findings, folder=report.path.name if several else "")
    if report.command is not None:
        _print("make a data set of it with:")
        _print(f"  {report.command}", style="cyan")
    _print("")


def _print_facts(*facts: tuple[str, str]) -> None:
    """Names and values in two columns; empty values are left out."""
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        if value:
            grid.add_row(f"  {name}", value)
    Console(markup=False, highlight=False).print(grid)


def _print_findings(findings: Iterable["Finding"], *, folder: str = "") -> None:
    said: dict[str, int] = {}
    for finding in findings:
        said[finding.code] = said.get(finding.code, 0) + 1
        if said[finding.code] <= SHOWN:
            place = str(Path(folder, finding.place))
            style = "red" if finding.severity == "error" else "yellow"
            _print(f"{finding.severity}: {place}: {finding.message}", style=style)
    for code, count in said.items():
        if count > SHOWN:
            _print(f"… and {count - SHOWN} more of the kind {code}; --json lists them all")


def _print(line: str, *, style: str = "") -> None:
    """One line as it is: never cut or broken, so that it can be searched and copied."""
    from rich.console import Console

    Console(markup=False, highlight=False, soft_wrap=True).print(line, style=style)


def _counts(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in pairs)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _as_json(reports: Sequence["Report"], *, errors: int, warnings: int) -> str:
    from dataclasses import asdict

    document = {"errors": errors, "warnings": warnings, "reports": [asdict(report) for report in reports]}
    return json.dumps(document, default=str, indent=2)
