"""`s4mi predict`: use what was trained on any images. `s4mi calibrate`: how sure a run may be."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s4mi.cli.options import Split, Task

if TYPE_CHECKING:
    from s4mi.recipes.predict import PredictResult


class MaskFile(StrEnum):
    """What masks are written as."""

    png = "png"
    match = "match"


def predict(
    run: Path = typer.Argument(
        ..., metavar="RUN", help="Folder of a run, an ONNX file, or a study: its best run by validation."
    ),
    images: list[Path] = typer.Argument(
        ..., metavar="IMAGES...", help="Image files, folders to search, or data set folders."
    ),
    out: Path = typer.Option(..., "-o", "--out", help="Folder for the answers."),
    overlay: bool = typer.Option(
        False, "--overlay", help="Segmentation: also lay each mask over its image, beside the truth where it is known."
    ),
    form: MaskFile = typer.Option(
        MaskFile.png, "--format", help="Masks as PNG, or as their image is: TIFF, NIfTI, DICOM-SEG."
    ),
    ensemble: bool = typer.Option(
        False, "--ensemble", help="Of a study: the mean over all seeds of its best technique."
    ),
    task: Task = typer.Option(Task.any, "--task", help="Of a study: the best of the runs with this task."),
    tta: bool = typer.Option(
        False, "--tta", help="Average over the eight ways to turn and mirror an image; 8x slower."
    ),
    overlap: float = typer.Option(
        0.25, "--overlap", help="Of windows, where a segmenter learnt from tiles: share of their side; 0: as evaluated."
    ),
    raw: bool = typer.Option(False, "--raw", help="Without the temperature and thresholds that validation chose."),
    resume: bool = typer.Option(
        False, "--resume", help="Keep the answers that are there, and make those that are not."
    ),
    clusters: bool = typer.Option(
        False,
        "--clusters",
        help="Of a run that found clusters: their numbers for masks, and a sheet to name them from.",
    ),
    split: Split = typer.Option(
        Split.all, "--split", help="Of a data set, the images in this part of the run's own split."
    ),
    unannotated: bool = typer.Option(
        False, "--unannotated", help="Of a data set, the images without a label, or without a mask for segmentation."
    ),
) -> None:
    """Probabilities and decisions as CSV (classification), or a mask per image at its own size (segmentation)."""
    from s4mi.cli.console import progress_bar, setup_logging
    from s4mi.recipes.predict import predict_run

    setup_logging()
    with progress_bar() as bar:
        result = predict_run(
            run,
            images,
            out,
            overlay=overlay,
            clusters=clusters,
            part=split.part,
            unannotated=unannotated,
            ensemble=ensemble,
            task=task.kind,
            raw=raw,
            tta=tta,
            overlap=overlap,
            form=form.value,
            resume=resume,
            progress=lambda done, total: bar("predicting", done, total),
        )
    _say(result, out)
    if result.failed:
        raise typer.Exit(1)


def _say(result: "PredictResult", out: Path) -> None:
    if result.why:
        typer.echo(f"answered by {result.why}")
    kept = f", {result.kept} of them at an earlier time" if result.kept else ""
    typer.echo(f"{result.answered} image{'' if result.answered == 1 else 's'} answered{kept}: {result.output}")
    if result.overlays is not None:
        typer.echo(f"overlays ({result.legend}): {result.overlays}")
    if result.sheet is not None:
        typer.echo(f"look at the clusters: {result.sheet}")
        for line in result.next_steps:
            typer.echo(line)
    if result.failed:
        typer.echo(f"{result.failed} could not be answered: {out / 'errors.csv'}", err=True)


def calibrate(
    runs: list[Path] = typer.Argument(..., metavar="RUN_DIR..."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document a run instead of tables."),
) -> None:
    """Fit on validation how sure a run may be: a temperature, and of several labels a threshold each."""
    from rich.console import Console
    from rich.table import Table

    from s4mi.cli.console import setup_logging
    from s4mi.records.calibration import CALIBRATION_NAME
    from s4mi.training.calibrate import calibrate_run

    setup_logging()
    for run in runs:
        calibration = calibrate_run(run)
        if as_json:
            typer.echo(calibration.model_dump_json(indent=2))
            continue
        table = Table(title=f"{run}: temperature {calibration.temperature:.3f}")
        for column in ("part", "answers", "calibration error", "with temperature", "NLL", "with temperature"):
            table.add_column(column, justify="left" if column == "part" else "right")
        for name, part in (("val", calibration.val), ("test", calibration.test)):
            if part is not None:
                numbers = (part.ece, part.ece_calibrated, part.nll, part.nll_calibrated)
                table.add_row(name, str(part.predictions), *(f"{number:.4f}" for number in numbers))
        Console(soft_wrap=True).print(table)
        for warning in calibration.warnings:
            typer.echo(warning)
        for label, threshold in calibration.thresholds.items():
            typer.echo(f"{label}: given above {threshold:.3f}")
        typer.echo(str(run / CALIBRATION_NAME))
