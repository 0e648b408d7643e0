"""`s4mi data import`: a command a source. Each says in words what it expects; `data/sources` says it in code."""

from pathlib import Path
from typing import Annotated

import typer

from s4mi.cli import import_public as import_sets
from s4mi.cli.import_options import (
    ALL_FRAMES,
    RULE,
    Copy,
    Force,
    Foreground,
    FramesOption,
    GroupPattern,
    Images,
    IntensityOption,
    KeepDicom,
    Licence,
    Masks,
    MaskSuffix,
    MaskValue,
    Name,
    Origin,
    Out,
    Source,
    handling_of,
    naming_of,
    write,
)

app = typer.Typer(help="Make a data set folder from images; the originals stay untouched.", no_args_is_help=True)


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
    naming = naming_of(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    handling = handling_of(copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom)
    write(read_folder(source, options), out, naming, handling)


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
    naming = naming_of(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    handling = handling_of(
        copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom, skip_missing=skip_missing
    )
    write(
        read_tables(source, options),
        out,
        naming,
        handling,
    )


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
    from s4mi.data.sources.pair_by_name import AffixPattern
    from s4mi.data.sources.pairs import PairsOptions, read_pairs

    rule = AffixPattern(
        image_prefix=image_prefix, image_suffix=image_suffix, mask_prefix=mask_prefix, mask_suffix=mask_suffix
    )
    options = PairsOptions(images=images, masks=masks, naming=rule, group_pattern=group_pattern)
    naming = naming_of(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    handling = handling_of(copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom)
    write(read_pairs(source, options), out, naming, handling)


app.command()(import_sets.isic2017)
app.command()(import_sets.dermofit)
app.command()(import_sets.dermatomyositis)
app.command()(import_sets.medmnist)
