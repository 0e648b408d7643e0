"""`s4mi predict`: use a trained run on any images."""

from pathlib import Path

import typer

from s4mi.cli.parts import Split


def predict(
    run: Path = typer.Argument(..., metavar="RUN_DIR"),
    images: list[Path] = typer.Argument(
        ..., metavar="IMAGES...", help="Image files, folders to search, or data set folders."
    ),
    out: Path = typer.Option(..., "-o", "--out", help="Folder for the answers."),
    overlay: bool = typer.Option(
        False, "--overlay", help="Segmentation: also lay each mask over its image, beside the truth where it is known."
    ),
    clusters: bool = typer.Option(
        False,
        "--clusters",
        help="Of a run that found clusters: their numbers for masks, and a sheet to name them from.",
    ),
    split: Split = typer.Option(
        Split.all, "--split", help="Of a data set, the images in this part of the run's own split."
    ),
) -> None:
    """Probabilities as CSV (classification), or a mask per image at its own size (segmentation)."""
    import sys

    from rich.console import Console
    from rich.progress import Progress

    from s4mi.cli.console import setup_logging
    from s4mi.recipes.predict import predict_run

    setup_logging()
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("predicting", total=None)
        result = predict_run(
            run,
            images,
            out,
            overlay=overlay,
            clusters=clusters,
            part=split.part,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(f"{result.answered} image{'' if result.answered == 1 else 's'} answered: {result.output}")
    if result.overlays is not None:
        typer.echo(f"overlays ({result.legend}): {result.overlays}")
    if result.sheet is not None:
        typer.echo(f"look at the clusters: {result.sheet}")
        for line in result.next_steps:
            typer.echo(line)
    if result.failed:
        typer.echo(f"{result.failed} could not be read: {out / 'errors.csv'}", err=True)
        raise typer.Exit(1)
