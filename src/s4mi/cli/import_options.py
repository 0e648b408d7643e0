"""Common options of the import commands, and the writing and reporting of the imported data set."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s4mi.cli.console import counted, print_facts, print_findings, print_line, progress_bar
from s4mi.cli.mask_options import FOREGROUND, report_unused
from s4mi.home import expanded

if TYPE_CHECKING:
    from s4mi.data.sources.import_options import ImportOptions
    from s4mi.data.sources.types import DatasetNaming, FoundDataset

Source = Annotated[Path, typer.Argument(metavar="SRC", help="Folder to import from.")]
Out = Annotated[Path, typer.Option("-o", "--out", metavar="DST", help="Data set folder to create.")]
Name = Annotated[str, typer.Option("--name", help="Name of the data set; by default that of DST.")]
Origin = Annotated[str, typer.Option("--source", help="Origin of the images, as text or URL.")]
Licence = Annotated[str, typer.Option("--licence", help="Licence of the images, e.g. CC0-1.0.")]
Copy = Annotated[bool, typer.Option("--copy", help="Copy images and masks into DST instead of referencing them.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing data set in DST.")]
Foreground = Annotated[
    str, typer.Option("--foreground", help="Class name of the foreground in masks with one value besides 0.")
]
MaskValue = Annotated[
    list[str] | None,
    typer.Option(
        "--mask-value", metavar="VALUE=NAME", help="Class name of a pixel value of masks, e.g. 2=nucleus; repeatable."
    ),
]
MaskThreshold = Annotated[
    int | None,
    typer.Option(
        "--mask-threshold",
        min=1,
        metavar="LEVEL",
        help="Grey level of masks from which pixels are foreground, e.g. 128 for masks stored as JPEG.",
    ),
]
MaskNonzero = Annotated[
    str,
    typer.Option(
        "--mask-nonzero",
        metavar="NAME",
        help="Class name of all pixels of masks that are not 0, e.g. for numbered objects, also above 255.",
    ),
]
FramesOption = Annotated[
    str,
    typer.Option(
        "--frames", metavar="WHICH", help="Frames to import of multi-frame files: all, first, middle or every:N."
    ),
]
IntensityOption = Annotated[
    str,
    typer.Option(
        "--intensity",
        metavar="RULE",
        help="Conversion of images of more than 8 bits: percentiles:LOW:HIGH, window:LOW:HIGH or range.",
    ),
]
KeepDicom = Annotated[
    bool,
    typer.Option(
        "--keep-dicom", help="Reference single-frame DICOM files, with patient data, instead of extracting PNG."
    ),
]
ImageAffine = Annotated[
    bool,
    typer.Option(
        "--image-affine",
        help="Read NIfTI masks with the affine of their image instead of their own, e.g. if a tool did not write it.",
    ),
]
GroupPattern = Annotated[
    str,
    typer.Option(
        "--group-pattern",
        metavar="REGEX",
        help="Regular expression whose group 1 is the patient, searched in file names (of a table: as it lists them), "
        "or in paths below SRC if it has a '/'.",
    ),
]
Rename = Annotated[
    list[str] | None,
    typer.Option(
        "--rename", metavar="OLD=NEW", help="Rename a class of labels or masks, or merge it with another; repeatable."
    ),
]
DropClass = Annotated[
    list[str] | None,
    typer.Option(
        "--drop-class",
        metavar="CLASS",
        help="Leave a class out; images without another class become unlabelled, its pixels in masks background; "
        "repeatable.",
    ),
]
MaskSuffix = Annotated[str, typer.Option("--mask-suffix", help="Suffix of mask names, e.g. _segmentation.")]
MaskSuffixOfFolder = Annotated[
    str | None,
    typer.Option("--mask-suffix", help="Suffix of mask names, e.g. _mask; '' if all files beside images are images."),
]
ALL_FRAMES = "all"
RULE = "percentiles:0.1:99.9"
SplitList = Annotated[
    list[str] | None,
    typer.Option(
        "--split-list",
        metavar="[PART=]FILE",
        help="Text file with the names or ids of the images of a part, e.g. train_val_list.txt or test=ids.txt; "
        "repeatable.",
    ),
]
SkipMissing = Annotated[bool, typer.Option("--skip-missing", help="Skip rows whose image or mask does not exist.")]
Masks = Annotated[str, typer.Option("--masks", metavar="DIR", help="Folder of masks, relative to SRC.")]
MasksOfFolder = Annotated[
    str | None,
    typer.Option("--masks", metavar="DIR", help="Folder of masks, relative to SRC; by default masks, if it exists."),
]
Images = Annotated[
    str | None,
    typer.Option("--images", metavar="DIR", help="Folder of images, relative to SRC; by default images, if it exists."),
]
MaskFolders = Annotated[
    list[str] | None,
    typer.Option("--masks", metavar="DIR", help="Folder of masks, relative to SRC; by default masks; repeatable."),
]
ImageFolders = Annotated[
    list[str] | None,
    typer.Option("--images", metavar="DIR", help="Folder of images, relative to SRC; by default images; repeatable."),
]


@dataclass(frozen=True)
class ImportSettings:
    """What the options that import commands share were set to; a command that lacks one has its default."""

    group_pattern: GroupPattern = ""
    rename: Rename = None
    drop_class: DropClass = None
    split_list: SplitList = None
    frames: FramesOption = ALL_FRAMES
    intensity: IntensityOption = RULE
    keep_dicom: KeepDicom = False
    image_affine: ImageAffine = False
    foreground: Foreground = FOREGROUND
    mask_value: MaskValue = None
    mask_threshold: MaskThreshold = None
    mask_nonzero: MaskNonzero = ""
    skip_missing: SkipMissing = False
    name: Name = ""
    origin: Origin = ""
    licence: Licence = ""
    copy: Copy = False
    force: Force = False

    def naming(self, out: Path) -> "DatasetNaming":
        """Return the properties of the data set that are given by options.

        Raises:
            S4miError: the options for masks contradict each other.
        """
        from s4mi.data.sources.compose_masks import MaskRule
        from s4mi.data.sources.types import DatasetNaming
        from s4mi.errors import S4miError

        values = parse_mask_values(self.mask_value or ())
        if sum((bool(values), self.mask_threshold is not None, bool(self.mask_nonzero))) > 1:
            raise S4miError(
                "--mask-value, --mask-threshold, --mask-nonzero: cannot be combined; use the one that fits the masks"
            )
        return DatasetNaming(
            self.name or expanded(out).resolve().name,
            source=self.origin,
            licence=self.licence,
            foreground=self.mask_nonzero or self.foreground,
            mask_values=values,
            mask_rule=MaskRule(threshold=self.mask_threshold, nonzero=bool(self.mask_nonzero)),
        )

    def files(self) -> "ImportOptions":
        """Return the processing of files that is given by options."""
        from s4mi.data.formats.intensity import Intensity
        from s4mi.data.sources.frames import FrameSelection
        from s4mi.data.sources.import_options import ImportOptions

        return ImportOptions(
            copy=self.copy, force=self.force, skip_missing=self.skip_missing, keep_dicom=self.keep_dicom,
            frames=FrameSelection.parse(self.frames), intensity=Intensity.parse(self.intensity),
            image_affine=self.image_affine,
        )  # fmt: skip

    def edited(self, found: "FoundDataset") -> "FoundDataset":
        """Return a found data set with renamed and dropped classes, and the split that lists define.

        Raises:
            S4miError: there is no such class, or a list does not fit.
        """
        from s4mi.data.sources.edit_labels import edit_labels, parse_renames
        from s4mi.data.sources.split_lists import apply_split_lists

        changed = edit_labels(found, parse_renames(self.rename or ()), self.drop_class or ())
        return apply_split_lists(changed, self.split_list or ())

    def write(self, found: "FoundDataset", out: Path, naming: "DatasetNaming | None" = None) -> None:
        """Write a found data set as the options say.

        Args:
            naming: its properties, if others than the options give.

        Raises:
            S4miError: as in `edited` and `naming`, or the data set cannot be written.
        """
        write_dataset(report_unused(self.edited(found), self), out, naming or self.naming(out), self.files())


CLASSES = ("rename", "drop_class")
ABOUT = ("name", "origin", "licence", "force")
MASKS = ("foreground", "mask_value", "mask_threshold", "mask_nonzero")
FILES = ("frames", "intensity", "keep_dicom", "image_affine", "copy")


def parse_mask_values(arguments: Sequence[str]) -> dict[int | str, str]:
    """Parse arguments VALUE=NAME, where VALUE is a number or a colour, into a mapping.

    Raises:
        S4miError: an argument has another form, a value has two names, or there are both numbers and colours.
    """
    from s4mi.errors import S4miError
    from s4mi.formatting import is_whole

    values: dict[int | str, str] = {}
    for argument in arguments:
        value, equals, class_name = argument.partition("=")
        value = value.strip().lower()
        colour = re.fullmatch("#?([0-9a-f]{6})", value) if not is_whole(value) or len(value) == 6 else None
        if not equals or not (colour or is_whole(value)) or not class_name.strip():
            raise S4miError(f"--mask-value {argument!r}: not VALUE=NAME; use e.g. 2=nucleus or '#ff0000=nucleus'")
        key: int | str = f"#{colour.group(1)}" if colour else int(value)
        if values.setdefault(key, class_name.strip()) != class_name.strip():
            raise S4miError(f"--mask-value {argument!r}: {key} is {values[key]!r} already; name each value once")
    if len({isinstance(key, str) for key in values}) > 1:
        raise S4miError("--mask-value: numbers and colours are mixed; write all as colours, e.g. '#000000=background'")
    return values


def write_dataset(found: "FoundDataset", out: Path, naming: "DatasetNaming", options: "ImportOptions") -> None:
    """Write the data set folder and print a summary, the findings and the next command.

    Raises:
        S4miError: the import is refused, or the rows that were written contradict each other.
    """
    from s4mi.data.row import PARTS
    from s4mi.data.sources.refuse import ImportRefusedError
    from s4mi.data.sources.write import write_import
    from s4mi.errors import S4miError
    from s4mi.formatting import plural

    try:
        with progress_bar() as bar:
            written = write_import(found, out, naming=naming, options=options, progress=bar)
    except ImportRefusedError as refusal:
        if len(refusal.findings) > 1:  # the first is printed as the error
            print_findings(refusal.findings[1:])
        raise
    spec, rows = written.spec, written.rows
    storage = f"referenced in {found.folder}" if spec.root else "copied"
    storage = "extracted or copied" if spec.conversion else storage
    images_per_class = Counter(name for row in rows for name in row.labels or ())
    parts = Counter(row.split for row in rows if row.split)
    groups = len({row.group for row in rows if row.group})
    print_line(f"{spec.name}: imported {found.kind} into {out}", style="bold")
    print_facts(
        ("images", f"{len(rows)}, {storage}"),
        ("tasks", ", ".join(spec.tasks) or "none; usable for pre-training and for segmentation without masks"),
        ("classes", counted((name, images_per_class[name]) for name in spec.classes)),
        ("masks", f"{sum(row.mask is not None for row in rows)}" if spec.mask_values else ""),
        ("mask values", ", ".join(f"{value} {name}" for value, name in spec.mask_values.items())),
        ("patients", str(groups or "")),
        ("conversion", spec.conversion),
        ("official split", counted((part, parts[part]) for part in PARTS if part in parts)),
    )
    print_findings(written.findings)
    if errors := sum(finding.severity == "error" for finding in written.findings):
        raise S4miError(
            f"{out}: written, but not usable with {plural(errors, 'error')}, listed above; correct the source and "
            "import it again with --force, or leave out the column at fault, e.g. with --split-column ''"
        )
    print_line(f"next, check the data set: s4mi data check {out}")
