"""What the import commands share: their options, and what they do with what they have found."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.console import counted, print_facts, print_findings, print_line, progress_bar

if TYPE_CHECKING:
    from s4mi.data.sources.types import DatasetNaming, FoundDataset
    from s4mi.data.sources.write import ImportOptions

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


def naming_of(
    out: Path, name: str, *, origin: str, licence: str, foreground: str, mask_value: Sequence[str] | None = None
) -> "DatasetNaming":
    from s4mi.data.sources.types import DatasetNaming

    name = name or out.expanduser().resolve().name
    values = mask_values_of(mask_value or ())
    return DatasetNaming(name, source=origin, licence=licence, foreground=foreground, mask_values=values)


def mask_values_of(given: Sequence[str]) -> dict[int | str, str]:
    """`VALUE=NAME` as numbers, or colours, and names."""
    from s4mi.errors import S4miError

    values: dict[int | str, str] = {}
    for said in given:
        value, equals, class_name = said.partition("=")
        value = value.strip().lower()
        coloured = re.fullmatch("#?([0-9a-f]{6})", value) if not value.isdecimal() or len(value) == 6 else None
        if not equals or not (coloured or value.isdecimal()) or not class_name.strip():
            raise S4miError(f"--mask-value {said!r}: is not VALUE=NAME; write e.g. 2=nucleus or '#ff0000=nucleus'")
        values[f"#{coloured.group(1)}" if coloured else int(value)] = class_name.strip()
    return values


def handling_of(
    copy: bool,
    force: bool,
    *,
    frames: str = ALL_FRAMES,
    intensity: str = RULE,
    keep_dicom: bool = False,
    skip_missing: bool = False,
) -> "ImportOptions":
    from s4mi.data.formats.intensity import Intensity
    from s4mi.data.sources.frames import FrameSelection
    from s4mi.data.sources.write import ImportOptions

    return ImportOptions(
        copy=copy, force=force, skip_missing=skip_missing, frames=FrameSelection.parse(frames),
        intensity=Intensity.parse(intensity), keep_dicom=keep_dicom,
    )  # fmt: skip


def write(found: "FoundDataset", out: Path, naming: "DatasetNaming", handling: "ImportOptions") -> None:
    from s4mi.data.manifest import PARTS
    from s4mi.data.sources.write import write_import

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
        ("tasks", ", ".join(spec.tasks) or "none; it can serve to pre-train, or be segmented without masks"),
        ("classes", counted((name, shown[name]) for name in spec.classes)),
        ("masks", f"{sum(row.mask is not None for row in rows)}" if spec.mask_values else ""),
        ("mask values", ", ".join(f"{value} {name}" for value, name in spec.mask_values.items())),
        ("patients", str(groups or "")),
        ("conversion", spec.conversion),
        ("official split", counted((part, parts[part]) for part in PARTS if part in parts)),
    )
    print_findings(written.findings)
    print_line(f"now look at it whole: s4mi data check {out}")
