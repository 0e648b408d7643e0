"""`s4mi data import` of public data sets, and of one whose layout is public."""

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
    handling_of,
    naming_of,
    write,
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
    """ISIC-2017 as its official archives unpack, with masks, diagnoses and the official split."""
    from s4mi.data.sources.isic2017 import LICENCE, SOURCE, read_isic2017

    naming = naming_of(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="lesion")
    write(read_isic2017(source), out, naming, handling_of(copy, force))


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

    naming = naming_of(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="lesion")
    write(read_dermofit(source), out, naming, handling_of(copy, force))


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
    naming = naming_of(out, name, origin=origin, licence=licence, foreground=foreground, mask_value=mask_value)
    write(read_dermatomyositis(source, options), out, naming, handling_of(False, force, intensity=intensity))


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
    naming = naming_of(out, name, origin=origin or SOURCE, licence=licence or LICENCE, foreground="foreground")
    write(read_medmnist(source, classes=given), out, naming, handling_of(False, force))
