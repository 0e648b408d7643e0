"""`s4mi data import`: one command per kind of source, each a thin layer over a module of `data/sources`."""

from typing import Annotated

import typer

from s4mi.cli import import_arrays, import_public, import_table
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
    ImageFolders,
    Images,
    IntensityOption,
    KeepDicom,
    Licence,
    MaskFolders,
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
    SplitList,
    dataset_naming,
    edited,
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
    split_list: SplitList = None,
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
    found = edited(read_folder(source, options), rename=rename, drop_class=drop_class, split_list=split_list)
    write_dataset(found, out, naming, files)


@app.command()
def pairs(
    source: Source,
    out: Out,
    images: ImageFolders = None,
    masks: MaskFolders = None,
    image_prefix: Annotated[str, typer.Option("--image-prefix", help="Prefix of image names.")] = "",
    image_suffix: Annotated[
        list[str] | None,
        typer.Option("--image-suffix", help="Suffix of image names, e.g. _training; repeatable."),
    ] = None,
    mask_prefix: Annotated[str, typer.Option("--mask-prefix", help="Prefix of mask names.")] = "",
    mask_suffix: MaskSuffix = "",
    group_pattern: GroupPattern = "",
    split_list: SplitList = None,
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
    """Import folders of images and folders of masks, matched by name; also in train/, val/, test/ or one per image."""
    from s4mi.data.sources.pair_by_name import AffixPattern
    from s4mi.data.sources.pairs import PairsOptions, read_pairs

    suffix, *more = image_suffix or [""]
    pattern = AffixPattern(image_prefix, suffix, mask_prefix, mask_suffix, more_image_suffixes=tuple(more))
    options = PairsOptions(
        images=tuple(images or ["images"]), masks=tuple(masks or ["masks"]), naming=pattern, group_pattern=group_pattern
    )
    naming = dataset_naming(
        out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value,
        mask_threshold=mask_threshold, mask_nonzero=mask_nonzero,
    )  # fmt: skip
    files = file_options(
        copy, force, frames=frames, intensity=intensity, keep_dicom=keep_dicom, image_affine=image_affine
    )
    write_dataset(edited(read_pairs(source, options), split_list=split_list), out, naming, files)


app.command()(import_table.table)
app.command()(import_arrays.nnunet)
app.command()(import_arrays.arrays)
app.command()(import_public.isic2017)
app.command()(import_public.dermofit)
app.command()(import_public.dermatomyositis)
app.command()(import_public.medmnist)
