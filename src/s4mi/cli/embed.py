"""`s4mi embed`: the features that a trained encoder computes."""

from enum import StrEnum
from pathlib import Path

import typer


class Projection(StrEnum):
    """Projections of features onto a plane."""

    PCA = "pca"
    UMAP = "umap"


def embed(
    run: Path = typer.Argument(..., metavar="RUN_DIR", help="Folder of a pre-training run or of a classifier."),
    dataset: Path = typer.Argument(..., metavar="DATASET", help="A data set folder, or a plain folder of images."),
    out: Path = typer.Option(
        Path("features.parquet"), "-o", "--out", help="Output table; a map, its points and errors.csv go beside it."
    ),
    encoder: str | None = typer.Option(None, help="Encoder of the run to use.  [default: its first]"),
    projection: Projection = typer.Option(Projection.PCA, help="Projection of the map; umap needs the extra umap."),
    batch_size: int = typer.Option(64, min=1, help="Images per forward pass."),
) -> None:
    """Write a feature vector per image as Parquet, and a map of the images coloured by class."""
    from s4mi import api
    from s4mi.cli.console import setup_logging
    from s4mi.formatting import plural

    setup_logging()
    made = api.embed(run, dataset, out, encoder=encoder, projection=projection.value, batch_size=batch_size)
    typer.echo(f"{plural(made.images, 'image')} embedded by {made.encoder}: {made.file}, {made.picture}, {made.points}")
    if made.others:
        typer.echo(f"the run also has {', '.join(made.others)}; choose with --encoder")
    if made.errors is not None:
        typer.echo(f"{made.failed} could not be read: {made.errors}", err=True)
        raise typer.Exit(1)
