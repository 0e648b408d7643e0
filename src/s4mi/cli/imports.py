"""`s4mi data import`: a command a source. Each says in words what it expects; `data/sources` says it in code."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.facts import counted, print_facts, print_findings, print_line, progress_bar

if TYPE_CHECKING:
    from s4mi.data.sources.found import Found, Naming
    from s4mi.data.sources.writing import Handling

app = typer.Typer(help="Make a data set folder from images; the originals stay untouched.", no_args_is_help=True)

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
FramesOption = Annotated[
    str,
    typer.Option("--frames", metavar="WHICH", help="Of files with several pictures: all, first, middle or every:N."),
]
IntensityOption = Annotated[
    str,
    typer.Option(
        "--intensity", metavar="RULE", help="16-bit to 8-bit: percentiles:LOW:HIGH, window:LOW:HIGH or range."
    ),
]
KeepDicom = Annotated[
    bool, typer.Option("--keep-dicom", help="Point to DICOM files of one picture, with all they say of the patient.")
]
GroupPattern = Annotated[
    str, typer.Option("--group-pattern", metavar="REGEX", help="Its group 1, in the file name, is the patient.")
]
MaskSuffix = Annotated[
    str, typer.Option("--mask-suffix", help="What mask names add to image names, e.g. _segmentation.")
]
ALL_FRAMES = "all"
RULE = "percentiles:0.1:99.9"
Masks = Annotated[str, typer.Option("--masks", metavar="DIR", help="Folder of masks, relative to SRC.")]
Images = Annotated[str, typer.Option("--images", metavar="DIR", help="Folder of images, relative to SRC.")]


@app.command()
def folder(
    source: Source,
    out: Out,
    images: Images = "images",
    masks: Masks = "masks",
    mask_suffix: MaskSuffix = "",
    group_pattern: GroupPattern = "",
    classes: Annotated[bool, typer.Option("--classes/--no-classes", help="Whether sub-folders are classes.")] = True,
    frames: FramesOption = ALL_FRAMES,
    intensity: IntensityOption = RULE,
    keep_dicom: KeepDicom = False,
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
    handling = _handling(copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom)
    _write(read_folder(source, options), out, naming, handling)


@app.command()
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
    frames: FramesOption = ALL_FRAMES,
    intensity: IntensityOption = RULE,
    keep_dicom: KeepDicom = False,
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
    handling = _handling(
        copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom, skip_missing=skip_missing
    )
    _write(
        read_tables(source, options),
        out,
        naming,
        handling,
    )


@app.command()
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
    _write(read_isic2017(source), out, naming, _handling(copy, force))


@app.command()
def pairs(
    source: Source,
    out: Out,
    images: Images = "images",
    masks: Masks = "masks",
    image_prefix: Annotated[str, typer.Option("--image-prefix", help="What image names begin with.")] = "",
    image_suffix: Annotated[str, typer.Option("--image-suffix", help="What image names end in.")] = "",
    mask_prefix: Annotated[str, typer.Option("--mask-prefix", help="What mask names begin with.")] = "",
    mask_suffix: MaskSuffix = "",
    group_pattern: GroupPattern = "",
    frames: FramesOption = ALL_FRAMES,
    intensity: IntensityOption = RULE,
    keep_dicom: KeepDicom = False,
    foreground: Foreground = "foreground",
    mask_value: MaskValue = None,
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """A folder of images and a folder of masks, matched by name; also in train/, val/, test/."""
    from s4mi.data.sources.matching import Naming as PairNaming
    from s4mi.data.sources.pairs import PairsOptions, read_pairs

    rule = PairNaming(
        image_prefix=image_prefix, image_suffix=image_suffix, mask_prefix=mask_prefix, mask_suffix=mask_suffix
    )
    options = PairsOptions(images=images, masks=masks, naming=rule, group_pattern=group_pattern)
    naming = _naming(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    handling = _handling(copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom)
    _write(read_pairs(source, options), out, naming, handling)


@app.command()
def dermofit(
    source: Source,
    out: Out,
    name: Name = "dermofit",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """The Dermofit Image Library: its ten class folders or their zip archives, with masks."""
    from s4mi.data.sources.dermofit import LICENCE, SOURCE, read_dermofit

    naming = _naming(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="lesion")
    _write(read_dermofit(source), out, naming, _handling(copy, force))


@app.command()
def dermatomyositis(
    source: Source,
    out: Out,
    task: Annotated[
        str, typer.Option("--task", help="classification (the RGB page) or segmentation (the page of DAPI).")
    ] = "classification",
    page: Annotated[str, typer.Option("--page", metavar="NAME|NUMBER", help="Another page: a stain, or from 0.")] = "",
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="TABLE", help="Table with a column of 0 and 1 per class.")
    ] = None,
    masks: Masks = "masks",
    mask_suffix: MaskSuffix = "",
    group_pattern: Annotated[
        str,
        typer.Option("--group-pattern", metavar="REGEX", help="Its group 1, in the file name, is the patient."),
    ] = r"^([^_\-. ]+)",
    intensity: IntensityOption = RULE,
    foreground: Foreground = "nucleus",
    mask_value: MaskValue = None,
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    force: Force = False,
) -> None:
    """Multi-page TIFF stacks of stained tissue, a table of labels or a folder of masks."""
    from s4mi.data.sources.dermatomyositis import StackOptions, read_dermatomyositis
    from s4mi.errors import S4miError, nearest

    if task not in ("classification", "segmentation"):
        hint = nearest(task, ("classification", "segmentation")) or "; say classification or segmentation"
        raise S4miError(f"--task {task!r}: is no task of these stacks{hint}")
    options = StackOptions(
        task="segmentation" if task == "segmentation" else "classification",
        page=page, labels=labels, masks=masks, mask_suffix=mask_suffix, group_pattern=group_pattern,
    )  # fmt: skip
    naming = _naming(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    _write(read_dermatomyositis(source, options), out, naming, _handling(False, force, intensity=intensity))


@app.command()
def medmnist(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A .npz file of MedMNIST, or a folder with one.")],
    out: Out,
    classes: Annotated[str, typer.Option("--classes", metavar="A,B,...", help="Names, where the set is unknown.")] = "",
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    force: Force = False,
) -> None:
    """A 2-D set of MedMNIST v2, with its official split."""
    from s4mi.data.sources.medmnist import LICENCE, SOURCE, read_medmnist

    given = [one.strip() for one in classes.split(",") if one.strip()]
    naming = _naming(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="foreground")
    _write(read_medmnist(source, classes=given), out, naming, _handling(False, force))


def _naming(
    out: Path, name: str, *, origin: str, licence: str, foreground: str, mask_value: Sequence[str] | None = None
) -> "Naming":
    from s4mi.data.sources.found import Naming
    from s4mi.errors import S4miError

    values: dict[int | str, str] = {}
    for said in mask_value or ():
        value, equals, class_name = said.partition("=")
        value = value.strip().lower()
        coloured = re.fullmatch("#?([0-9a-f]{6})", value) if not value.isdecimal() or len(value) == 6 else None
        if not equals or not (coloured or value.isdecimal()) or not class_name.strip():
            raise S4miError(f"--mask-value {said!r}: is not VALUE=NAME; write e.g. 2=nucleus or '#ff0000=nucleus'")
        values[f"#{coloured.group(1)}" if coloured else int(value)] = class_name.strip()
    name = name or out.expanduser().resolve().name
    return Naming(name, source=origin, licence=licence, foreground=foreground, mask_values=values)


def _handling(
    copy: bool,
    force: bool,
    *,
    frames: str = ALL_FRAMES,
    intensity: str = RULE,
    keep_dicom: bool = False,
    skip_missing: bool = False,
) -> "Handling":
    from s4mi.data.formats.intensity import Intensity
    from s4mi.data.sources.frames import Frames
    from s4mi.data.sources.writing import Handling

    return Handling(
        copy=copy, force=force, skip_missing=skip_missing, frames=Frames.parse(frames),
        intensity=Intensity.parse(intensity), keep_dicom=keep_dicom,
    )  # fmt: skip


def _write(found: "Found", out: Path, naming: "Naming", handling: "Handling") -> None:
    from s4mi.data.manifest import PARTS
    from s4mi.data.sources.writing import write_import

    with progress_bar() as bar:
        written = write_import(found, out, naming=naming, handling=handling, progress=bar)
    spec, rows = written.spec, written.rows
    where = f"referenced in {found.folder}" if spec.root else "copied"
    where = "written out or copied" if spec.conversion else where
    shown = Counter(name for row in rows for name in row.labels or ())
    parts = Counter(row.split for row in rows if row.split)
    groups = len({row.group for row in rows if row.group})
    print_line(f"{spec.name}: {found.kind}, now the data set {out}", style="bold")
    print_facts(
        ("images", f"{len(rows)}, {where}"),
        ("tasks", ", ".join(spec.tasks) or "none; it can serve to pre-train"),
        ("classes", counted((name, shown[name]) for name in spec.classes)),
        ("masks", f"{sum(row.mask is not None for row in rows)}" if spec.mask_values else ""),
        ("mask values", ", ".join(f"{value} {name}" for value, name in spec.mask_values.items())),
        ("patients", str(groups or "")),
        ("conversion", spec.conversion),
        ("official split", counted((part, parts[part]) for part in PARTS if part in parts)),
    )
    print_findings(written.findings)
    print_line(f"now look at it whole: s4mi data check {out}")
