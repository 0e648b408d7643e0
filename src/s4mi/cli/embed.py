"""`s4mi embed`: the features that a trained encoder makes of images."""

from enum import StrEnum
from pathlib import Path

import typer


class Projection(StrEnum):
    """How features come onto a plane."""

    PCA = "pca"
    UMAP = "umap"


def embed(
    run: Path = typer.Argument(..., metavar="RUN_DIR", help="A pre-training run, or a classifier."),
    dataset: Path = typer.Argument(..., metavar="DATASET", help="A data set, or a plain folder of images."),
    out: Path = typer.Option(
        Path("features.parquet"), "-o", "--out", help="The table; a map, its points and errors.csv go beside it."
    ),
    encoder: str | None = typer.Option(None, help="Which of the run's encoders.  [default: its first]"),
    projection: Projection = typer.Option(Projection.PCA, help="Of the map; umap needs the extra umap."),
    batch_size: int = typer.Option(64, min=1, help="Images at a time."),
) -> None:
    """A feature vector per image as Parquet, and a map of the images coloured by class."""
    from rich.console import Console
    from rich.progress import Progress

    from s4mi.cli.console import setup_logging
    from s4mi.recipes.embed import embed_run

    setup_logging()
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("embedding", total=None)
        made = embed_run(
            run,
            dataset,
            out,
            encoder=encoder,
            projection=projection.value,
            batch_size=batch_size,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(f"{made.embedded} images embedded by {made.encoder}: {made.table}, {made.picture}, {made.points}")
    if made.others:
        typer.echo(f"this run also has {', '.join(made.others)}; choose with --encoder")
    if made.failed:
        typer.echo(f"{made.failed} could not be read: {out.parent / 'errors.csv'}", err=True)
        raise typer.Exit(1)
