"""`s4mi data import` of nnU-Net's raw format, and of arrays in `.npy`, `.npz` and HDF5 files."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from s4mi.cli.import_options import ABOUT, CLASSES, MASKS, ImportSettings, Out, Source
from s4mi.cli.mask_options import mask_options
from s4mi.cli.shared_options import offers


@offers(ImportSettings, "group_pattern", "frames", "intensity", "image_affine", "mask_value", *CLASSES, *ABOUT)
def nnunet(
    source: Source,
    out: Out,
    channel: Annotated[
        list[str] | None,
        typer.Option(
            "--channel",
            metavar="NAME|NUMBER",
            help="Channel to import of cases with a file per channel; up to three become red, green and blue.",
        ),
    ] = None,
    fold: Annotated[
        int | None,
        typer.Option("--fold", min=0, metavar="N", help="Fold of splits_final.json to take as the official split."),
    ] = None,
    splits: Annotated[
        Path | None,
        typer.Option("--splits", metavar="FILE", help="File of the folds; by default splits_final.json in SRC."),
    ] = None,
    *,
    shared: ImportSettings,
) -> None:
    """Import a data set in the raw format of nnU-Net: imagesTr, labelsTr, imagesTs and dataset.json."""
    from s4mi.data.sources.nnunet import NnunetOptions, read_nnunet

    read = read_nnunet(
        source, NnunetOptions(tuple(channel or ()), fold=fold, splits=splits, group_pattern=shared.group_pattern)
    )
    naming = shared.naming(out)
    if not naming.mask_values:
        naming = replace(naming, mask_values=dict(read.mask_values.items()))
    shared.write(read.found, out, naming)


@offers(ImportSettings, "intensity", *CLASSES, *MASKS, *ABOUT)
def arrays(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="File of arrays (.npy, .npz, .h5), or a folder of such files.")
    ],
    out: Out,
    images: Annotated[
        list[str] | None,
        typer.Option("--images", metavar="KEY", help="Array of images, or its file; by default found by name."),
    ] = None,
    masks: Annotated[
        list[str] | None,
        typer.Option("--masks", metavar="KEY", help="Array of masks, or its file; by default found by name; '': none."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels", metavar="KEY", help="Array of labels, or its file; by default found by name; '': none."
        ),
    ] = None,
    groups: Annotated[
        list[str] | None,
        typer.Option("--groups", metavar="KEY", help="Array of patients, or its file; by default found by name."),
    ] = None,
    classes: Annotated[
        str, typer.Option("--classes", metavar="A,B,...", help="Names of the classes 0, 1, … or of columns of 0 and 1.")
    ] = "",
    layers: Annotated[
        str,
        typer.Option(
            "--layers",
            metavar="A,B,...",
            help="Names of the layers of masks with one layer per class, background for a layer of the rest; or of the "
            "numbers 1, 2, … in masks of numbers.",
        ),
    ] = "",
    multilabel: Annotated[
        bool, typer.Option("--multilabel", help="Allow several classes per image, even if no image has several.")
    ] = False,
    *,
    shared: ImportSettings,
) -> None:
    """Import images stored as arrays of N×H×W or N×H×W×C, with masks, labels, patients and the official split."""
    from s4mi.data.sources.arrays import ArraysOptions, read_arrays
    from s4mi.data.sources.unused_options import refuse_unused

    if masks is not None and not any(masks):
        given = {"--layers": layers, **mask_options(shared)}
        refuse_unused(given, because="with --masks ''", hint="name the array of masks with --masks KEY")

    def names(text: str) -> tuple[str, ...]:
        return tuple(one.strip() for one in text.split(",") if one.strip())

    def keys(given: list[str] | None) -> tuple[str, ...] | None:
        return None if given is None else tuple(given)

    options = ArraysOptions(
        images=keys(images), masks=keys(masks), labels=keys(labels), groups=keys(groups), classes=names(classes),
        layers=names(layers), multilabel=multilabel,
    )  # fmt: skip
    naming = shared.naming(out)
    if options.layers and not naming.mask_values:
        present = ["background", *(one for one in options.layers if one != "background")]
        naming = replace(naming, mask_values=dict(enumerate(present)))
    shared.write(read_arrays(source, options), out, naming)
