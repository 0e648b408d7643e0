"""`s4mi predict`: use a trained run on any images."""

from pathlib import Path

import typer


def predict(
    run: Path = typer.Argument(..., metavar="RUN_DIR"),
    images: list[Path] = typer.Argument(..., metavar="IMAGES_OR_FOLDER...", help="Image files, or folders to search."),
    out: Path = typer.Option(..., "-o", "--out", help="Folder for the answers."),
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
            run, images, out, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    typer.echo(f"{result.answered} images answered: {result.output}")
    if result.failed:
        typer.echo(f"{result.failed} could not be read: {out / 'errors.csv'}", err=True)
        raise typer.Exit(1)
