"""`s4mi data import` of public data sets, and of one with a published layout."""

from pathlib import Path
from typing import Annotated

import typer

from s4mi.cli.import_options import (
    RULE,
    Copy,
    Force,
    Foreground,
    IntensityOption,
    Licence,
    Masks,
    MaskSuffix,
    MaskValue,
    Name,
    Origin,
    Out,
    Source,
    dataset_naming,
    file_options,
    write_dataset,
)


def isic2017(
    source: Source,
    out: Out,
    name: Name = "isic2017",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """Import ISIC-2017 from its unpacked official archives, with masks, diagnoses and the official split."""
    from s4mi.data.sources.isic2017 import LICENCE, SOURCE, read_isic2017

    naming = dataset_naming(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="lesion")
    write_dataset(read_isic2017(source), out, naming, file_options(copy, force))


def dermofit(
    source: Source,
    out: Out,
    name: Name = "dermofit",
    origin: Origin = "",
    licence: Licence = "",
    copy: Copy = False,
    force: Force = False,
) -> None:
    """Import the Dermofit Image Library from its ten class folders or their zip archives, with masks."""
    from s4mi.data.sources.dermofit import LICENCE, SOURCE, read_dermofit

    naming = dataset_naming(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="lesion")
    write_dataset(read_dermofit(source), out, naming, file_options(copy, force))


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
    group_pattern: Annotated[
        str,
        typer.Option(
            "--group-pattern",
            metavar="REGEX",
            help="Regular expression whose group 1 is the patient, searched in file names.",
        ),
    ] = r"^([^_\-. ]+)",
    intensity: IntensityOption = RULE,
    foreground: Foreground = "nucleus",
    mask_value: MaskValue = None,
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    force: Force = False,
) -> None:
    """Import multi-page TIFF stacks of stained tissue, with a table of labels or a folder of masks."""
    from s4mi.data.sources.dermatomyositis import StackOptions, read_dermatomyositis
    from s4mi.errors import S4miError, nearest

    if task not in ("classification", "segmentation"):
        hint = nearest(task, ("classification", "segmentation")) or "; use classification or segmentation"
        raise S4miError(f"--task {task!r}: unknown task{hint}")
    options = StackOptions(
        task="segmentation" if task == "segmentation" else "classification",
        page=page, labels=labels, masks=masks, mask_suffix=mask_suffix, group_pattern=group_pattern,
    )  # fmt: skip
    naming = dataset_naming(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    write_dataset(read_dermatomyositis(source, options), out, naming, file_options(False, force, intensity=intensity))


def medmnist(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="MedMNIST file (.npz), or a folder with one.")],
    out: Out,
    classes: Annotated[
        str,
        typer.Option("--classes", metavar="A,B,...", help="Class names; by default those of the MedMNIST set."),
    ] = "",
    name: Name = "",
    origin: Origin = "",
    licence: Licence = "",
    force: Force = False,
) -> None:
    """Import a 2-D data set of MedMNIST v2, with its official split."""
    from s4mi.data.sources.medmnist import LICENCE, SOURCE, read_medmnist

    names = [name.strip() for name in classes.split(",") if name.strip()]
    naming = dataset_naming(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="foreground")
    write_dataset(read_medmnist(source, classes=names), out, naming, file_options(False, force))
