"""`s4mi data import`: one command per kind of source, each a thin layer over a module of `data/sources`."""

from typing import Annotated

import typer

from s4mi.cli import import_arrays, import_public, import_table
from s4mi.cli.import_options import (
    ABOUT,
    CLASSES,
    FILES,
    MASKS,
    ImageFolders,
    Images,
    ImportSettings,
    MaskFolders,
    MasksOfFolder,
    MaskSuffix,
    MaskSuffixOfFolder,
    Out,
    Source,
)
from s4mi.cli.shared_options import offers

app = typer.Typer(help="Create a data set folder from images; the originals are not modified.", no_args_is_help=True)
ALL = ("group_pattern", "split_list", *CLASSES, *FILES, *MASKS, *ABOUT)


@app.command()
@offers(ImportSettings, *ALL)
def folder(
    source: Source,
    out: Out,
    images: Images = None,
    masks: MasksOfFolder = None,
    mask_suffix: MaskSuffixOfFolder = None,
    classes: Annotated[bool, typer.Option("--classes/--no-classes", help="Treat sub-folders as classes.")] = True,
    *,
    shared: ImportSettings,
) -> None:
    """Import a folder per class, images/ and masks/ of the same names, or only images; also in train/, val/, test/."""
    from s4mi.data.sources.folder import FolderOptions, read_folder

    options = FolderOptions(
        images=images, masks=masks, mask_suffix=mask_suffix, group_pattern=shared.group_pattern, classes=classes
    )
    shared.write(read_folder(source, options), out)


@app.command()
@offers(ImportSettings, *ALL)
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
    *,
    shared: ImportSettings,
) -> None:
    """Import folders of images and folders of masks, matched by name; also in train/, val/, test/ or one per image."""
    from s4mi.data.sources.pair_by_name import AffixPattern
    from s4mi.data.sources.pairs import PairsOptions, read_pairs

    suffix, *more = image_suffix or [""]
    pattern = AffixPattern(image_prefix, suffix, mask_prefix, mask_suffix, more_image_suffixes=tuple(more))
    options = PairsOptions(
        images=tuple(images or ["images"]),
        masks=tuple(masks or ["masks"]),
        naming=pattern,
        group_pattern=shared.group_pattern,
    )
    shared.write(read_pairs(source, options), out)


app.command()(import_table.table)
app.command()(import_arrays.nnunet)
app.command()(import_arrays.arrays)
app.command()(import_public.isic2017)
app.command()(import_public.dermofit)
app.command()(import_public.dermatomyositis)
app.command()(import_public.medmnist)
