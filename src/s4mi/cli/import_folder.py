"""`s4mi data import`: one command per kind of source, each a thin layer over a module of `data/sources`."""

from pathlib import Path
from typing import Annotated

import typer

from s4mi.cli import import_public
from s4mi.cli.import_options import (
    ALL_FRAMES,
    RULE,
    Copy,
    DropClass,
    Force,
    Foreground,
    FramesOption,
    GroupPattern,
    ImageAffine,
    Images,
    IntensityOption,
    KeepDicom,
    Licence,
    MaskNonzero,
    Masks,
    MaskSuffix,
    MaskSuffixOfFolder,
    MaskThreshold,
    MaskValue,
    Name,
    Origin,
    Out,
    Rename,
    Source,
    dataset_naming,
    file_options,
    write_dataset,
)

app = typer.Typer(help="Create a data set folder from images; the originals are not modified.", no_args_is_help=True)


@app.command()
def folder(
    source: Source,
    out: Out,
    images: Images = "images",
    masks: Masks = "masks",
    mask_suffix: MaskSuffixOfFolder = None,
    group_pattern: GroupPattern = "",
    rename: Rename = None,
    drop_class: DropClass = None,
    classes: Annotated[bool, typer.Option("--classes/--no-classes", help="Treat sub-folders as classes.")] = True,
    frames: FramesOption = ALL_FRAMES,
    intensity: IntensityOption = RULE,
    keep_dicom: KeepDicom = False,
    image_affine: ImageAffine = False,
    foreground: Foreground = "foreground",
    mask_value: MaskValue = None,
    mask_threshold: MaskThreshold = None,
    mask_nonzero: MaskNonzero = "",
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """Import a folder per class, images/ and masks/ of the same names, or only images; also in train/, val/, test/."""
    from s4mi.data.sources.edit_labels import edit_labels, parse_renames
    from s4mi.data.sources.folder import FolderOptions, read_folder

    options = FolderOptions(
        images=images, masks=masks, mask_suffix=mask_suffix, group_pattern=group_pattern, classes=classes
    )
    naming = dataset_naming(
        out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value,
        mask_threshold=mask_threshold, mask_nonzero=mask_nonzero,
    )  # fmt: skip
    files = file_options(
        copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom, image_affine=image_affine
    )
    found = edit_labels(read_folder(source, options), parse_renames(rename or ()), drop_class or ())
    write_dataset(found, out, naming, files)


@app.command()
def table(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="Table (CSV, TSV, Parquet or Excel), folder with one table, or folder with one each in train/, val/, "
            "test/.",
        ),
    ],
    out: Out,
    image: Annotated[
        str | None, typer.Option("--image", metavar="COLUMN", help="Column of image files; by default image.")
    ] = None,
    mask: Annotated[
        str | None, typer.Option("--mask", metavar="COLUMN", help="Column of mask files; by default mask, if present.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="COLUMN", help="Column of classes; by default label, if present."),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Column of patients or lesions; by default group, if present."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split-column",
            metavar="COLUMN",
            help="Column of the official split (train, val, test); by default split, if present.",
        ),
    ] = None,
    one_hot: Annotated[
        str,
        typer.Option(
            "--one-hot",
            metavar="COLUMN,...",
            help="Columns of 0 and 1, one per class, instead of --label; one column alone is a task of two classes.",
        ),
    ] = "",
    one_hot_prefix: Annotated[
        str, typer.Option("--one-hot-prefix", help="Prefix of one-hot columns that is not part of the class names.")
    ] = "",
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Allow several classes per image, even if no image has several.")
    ] = False,
    label_separator: Annotated[
        str | None,
        typer.Option(
            "--label-separator",
            metavar="TEXT",
            help="Separator of several classes in one cell; by default ';'; '' if each cell is one class.",
        ),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option(
            "--negative",
            metavar="NAME",
            help="Label of images that show none of the classes, e.g. 'No Finding'; implies --multilabel; repeatable.",
        ),
    ] = None,
    rename: Rename = None,
    drop_class: DropClass = None,
    group_pattern: GroupPattern = "",
    images: Images = "images",
    masks: Masks = "masks",
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Skip rows whose image or mask does not exist.")
    ] = False,
    frames: FramesOption = ALL_FRAMES,
    intensity: IntensityOption = RULE,
    keep_dicom: KeepDicom = False,
    image_affine: ImageAffine = False,
    foreground: Foreground = "foreground",
    mask_value: MaskValue = None,
    mask_threshold: MaskThreshold = None,
    mask_nonzero: MaskNonzero = "",
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """Import the images listed in a table, one row per image; pass '' as the name of a column to ignore it."""
    from s4mi.data.sources.edit_labels import edit_labels, parse_renames
    from s4mi.data.sources.table import read_tables
    from s4mi.data.sources.table_options import TableOptions

    options = TableOptions(
        image=image, mask=mask, label=label, group=group, split=split,
        one_hot=tuple(column.strip() for column in one_hot.split(",") if column.strip()),
        one_hot_prefix=one_hot_prefix, multilabel=multilabel, separator=label_separator,
        negatives=tuple(negative or ()), group_pattern=group_pattern, images=images, masks=masks,
    )  # fmt: skip
    naming = dataset_naming(
        out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value,
        mask_threshold=mask_threshold, mask_nonzero=mask_nonzero,
    )  # fmt: skip
    files = file_options(
        copy,
        force,
        frames=frames,
        intensity=intensity,
        keep_dicom=keep_dicom,
        skip_missing=skip_missing,
        image_affine=image_affine,
    )
    found = edit_labels(read_tables(source, options), parse_renames(rename or ()), drop_class or ())
    write_dataset(found, out, naming, files)


@app.command()
def pairs(
    source: Source,
    out: Out,
    images: Images = "images",
    masks: Masks = "masks",
    image_prefix: Annotated[str, typer.Option("--image-prefix", help="Prefix of image names.")] = "",
    image_suffix: Annotated[str, typer.Option("--image-suffix", help="Suffix of image names.")] = "",
    mask_prefix: Annotated[str, typer.Option("--mask-prefix", help="Prefix of mask names.")] = "",
    mask_suffix: MaskSuffix = "",
    group_pattern: GroupPattern = "",
    frames: FramesOption = ALL_FRAMES,
    intensity: IntensityOption = RULE,
    keep_dicom: KeepDicom = False,
    image_affine: ImageAffine = False,
    foreground: Foreground = "foreground",
    mask_value: MaskValue = None,
    mask_threshold: MaskThreshold = None,
    mask_nonzero: MaskNonzero = "",
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """Import a folder of images and a folder of masks, matched by name; also in train/, val/, test/."""
    from s4mi.data.sources.pair_by_name import AffixPattern
    from s4mi.data.sources.pairs import PairsOptions, read_pairs

    pattern = AffixPattern(
        image_prefix=image_prefix, image_suffix=image_suffix, mask_prefix=mask_prefix, mask_suffix=mask_suffix
    )
    options = PairsOptions(images=images, masks=masks, naming=pattern, group_pattern=group_pattern)
    naming = dataset_naming(
        out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value,
        mask_threshold=mask_threshold, mask_nonzero=mask_nonzero,
    )  # fmt: skip
    files = file_options(
        copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom, image_affine=image_affine
    )
    write_dataset(read_pairs(source, options), out, naming, files)


app.command()(import_public.isic2017)
app.command()(import_public.dermofit)
app.command()(import_public.dermatomyositis)
app.command()(import_public.medmnist)
