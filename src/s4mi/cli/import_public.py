"""`s4mi data import` of public data sets, and of one with a published layout."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from s4mi.cli.import_options import ABOUT, CLASSES, ImportSettings, Masks, MaskSuffix, Out, Source
from s4mi.cli.mask_options import FOREGROUND, mask_options
from s4mi.cli.shared_options import offers

NUCLEUS = "nucleus"
"""Foreground of the masks of stained tissue, unless an option says otherwise."""


@offers(ImportSettings, "copy", *CLASSES, *ABOUT, name="isic2017")
def isic2017(source: Source, out: Out, *, shared: ImportSettings) -> None:
    """Import ISIC-2017 from its unpacked official archives, with masks, diagnoses and the official split."""
    from s4mi.data.sources.isic2017 import LICENCE, SOURCE, read_isic2017

    shared = _from(shared, SOURCE, LICENCE)
    shared.write(read_isic2017(source), out, replace(shared.naming(out), foreground="lesion"))


@offers(ImportSettings, "copy", *CLASSES, *ABOUT, name="dermofit")
def dermofit(source: Source, out: Out, *, shared: ImportSettings) -> None:
    """Import the Dermofit Image Library from its ten class folders or their zip archives, with masks."""
    from s4mi.data.sources.dermofit import LICENCE, SOURCE, read_dermofit

    shared = _from(shared, SOURCE, LICENCE)
    shared.write(read_dermofit(source), out, replace(shared.naming(out), foreground="lesion"))


@offers(ImportSettings, "intensity", "mask_value", *CLASSES, *ABOUT, group_pattern=r"^([^_\-. ]+)", foreground=NUCLEUS)
def dermatomyositis(
    source: Source,
    out: Out,
    task: Annotated[
        str, typer.Option("--task", help="Task: classification (of the RGB page) or segmentation (of the DAPI page).")
    ] = "classification",
    page: Annotated[
        str,
        typer.Option(
            "--page",
            metavar="NAME|NUMBER",
            help="Page to import instead of that of the task: name of a stain, or number from 0.",
        ),
    ] = "",
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="TABLE", help="Table with a column of 0 and 1 per class.")
    ] = None,
    masks: Masks = "masks",
    mask_suffix: MaskSuffix = "",
    *,
    shared: ImportSettings,
) -> None:
    """Import multi-page TIFF stacks of stained tissue, with a table of labels or a folder of masks."""
    from s4mi.data.sources.dermatomyositis import StackOptions, read_dermatomyositis, refuse_of_task
    from s4mi.errors import S4miError, nearest

    if task not in ("classification", "segmentation"):
        hint = nearest(task, ("classification", "segmentation")) or "; use classification or segmentation"
        raise S4miError(f"--task {task!r}: unknown task{hint}")
    if task == "classification":
        refuse_of_task(mask_options(shared, foreground=NUCLEUS), task=task)
    options = StackOptions(
        task="segmentation" if task == "segmentation" else "classification",
        page=page, labels=labels, masks=masks, mask_suffix=mask_suffix, group_pattern=shared.group_pattern,
    )  # fmt: skip
    naming = shared.naming(out)
    if shared.foreground == NUCLEUS:
        shared = replace(shared, foreground=FOREGROUND)  # not given, so there is nothing to report
    shared.write(read_dermatomyositis(source, options), out, naming)


@offers(ImportSettings, *CLASSES, *ABOUT)
def medmnist(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="MedMNIST file (.npz), or a folder with one.")],
    out: Out,
    classes: Annotated[
        str,
        typer.Option("--classes", metavar="A,B,...", help="Class names; by default those of the MedMNIST set."),
    ] = "",
    *,
    shared: ImportSettings,
) -> None:
    """Import a 2-D data set of MedMNIST v2, with its official split."""
    from s4mi.data.sources.medmnist import LICENCE, SOURCE, read_medmnist

    names = [name.strip() for name in classes.split(",") if name.strip()]
    _from(shared, SOURCE, LICENCE).write(read_medmnist(source, classes=names), out)


def _from(shared: ImportSettings, source: str, licence: str) -> ImportSettings:
    """Return the settings of a published data set, whose source and terms are known unless options say otherwise."""
    return replace(shared, origin=shared.origin or source, licence=shared.licence or licence)
