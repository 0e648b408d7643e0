"""`s4mi predict`: predictions for any images, by a run, an ensemble or an exported model."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s4mi.cli.options import Split, Task

if TYPE_CHECKING:
    from s4mi.api import PredictOutput


class MaskFile(StrEnum):
    """Formats of mask files."""

    png = "png"
    match = "match"


class NumberFormat(StrEnum):
    """Precisions of a network on a CPU."""

    auto = "auto"
    single = "32"
    bfloat16 = "bf16"


def predict(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="Folder of a run, an exported file, or folder of a study: its best run by validation."
    ),
    images: list[Path] = typer.Argument(
        ..., metavar="IMAGES...", help="Image files, folders (searched recursively) or data set folders."
    ),
    out: Path = typer.Option(..., "-o", "--out", help="Output folder."),
    overlay: bool = typer.Option(
        False, "--overlay", help="Segmentation: also write overlays, compared with the true mask where there is one."
    ),
    form: MaskFile = typer.Option(
        MaskFile.png, "--format", help="Masks as PNG, or in the format of their image: TIFF, NIfTI, DICOM-SEG."
    ),
    ensemble: bool = typer.Option(
        False, "--ensemble", help="For a study: average over all seeds of its best technique."
    ),
    task: Task = typer.Option(Task.any, "--task", help="For a study: only runs of this task."),
    tta: bool = typer.Option(
        False, "--tta", help="Test-time augmentation: average over the eight flips and quarter turns; 8x slower."
    ),
    overlap: float = typer.Option(
        0.25, "--overlap",
        help="Overlap of windows as a share of their side, for segmenters trained on tiles; 0: as evaluated.",
    ),
    raw: bool = typer.Option(False, "--raw", help="Leave out temperature scaling and per-class thresholds."),
    precision: NumberFormat = typer.Option(
        NumberFormat.single, "--precision",
        help="On a CPU: 32, or bf16 as far as it changes no decision; auto: bf16 where the processor has it.",
    ),
    resume: bool = typer.Option(False, "--resume", help="Keep complete predictions of an interrupted command."),
    clusters: bool = typer.Option(
        False, "--clusters",
        help="For a run that found clusters: write their numbers as masks, and a contact sheet to name them from.",
    ),
    split: Split = typer.Option(
        Split.all, "--split", help="For a data set: only images in this part of the run's own split."
    ),
    unannotated: bool = typer.Option(
        False, "--unannotated", help="For a data set: only images without a label or, for segmentation, without a mask."
    ),
) -> None:  # fmt: skip
    """Write probabilities and decisions as CSV (classification), or a mask per image at its own size (segmentation)."""
    from s4mi import api
    from s4mi.cli.console import setup_logging

    setup_logging()
    written = api.predict(
        run,
        images,
        out,
        overlay=overlay,
        format=form.value,
        ensemble=ensemble,
        task=task.kind,
        clusters=clusters,
        part=split.part,
        unannotated=unannotated,
        raw=raw,
        tta=tta,
        overlap=overlap,
        precision=precision.value,
        resume=resume,
    )
    _print(written)
    if written.failed:
        raise typer.Exit(1)


def _print(written: "PredictOutput") -> None:
    from s4mi.formatting import plural

    if written.reason:
        typer.echo(f"predicted by {written.reason}")
    kept = f", {written.kept} of them by an earlier run of this command" if written.kept else ""
    typer.echo(f"{plural(written.images, 'image')} predicted{kept}: {written.output}")
    if written.overlays is not None:
        typer.echo(f"overlays ({written.legend}): {written.overlays}")
    if written.sheet is not None:
        typer.echo(f"contact sheet of the clusters: {written.sheet}")
        for line in written.next_steps:
            typer.echo(line)
    if written.errors is not None:
        typer.echo(f"{plural(written.failed, 'image')} could not be predicted: {written.errors}", err=True)
