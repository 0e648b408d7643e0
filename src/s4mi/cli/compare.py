"""`s4mi compare`: segmentation runs side by side on the same images."""

from pathlib import Path

import typer

from s4mi.cli.options import Part


def compare(
    runs: list[Path] = typer.Argument(..., metavar="RUN_DIR...", help="Finished segmentation runs."),
    data: Path | None = typer.Option(
        None, metavar="DATASET", help="Data set folder.  [default: that of the first run]"
    ),
    out: Path = typer.Option(Path("comparison.png"), "-o", "--out", help="Output file, .png."),
    images: int = typer.Option(6, min=1, help="Maximum number of images, from small to large objects."),
    part: Part = typer.Option(Part.test, "--split", help="Show images from this part of every run's own split."),
) -> None:
    """Draw a comparison sheet of segmentation runs: correct, missed and false-positive pixels, with IoU per image."""
    from s4mi.cli.console import progress_bar, setup_logging
    from s4mi.visualisation.comparison_sheet import write_comparison

    setup_logging()
    with progress_bar() as bar:
        written = write_comparison(
            runs,
            out,
            data=data,
            part=part.value,
            images=images,
            progress=lambda done, total: bar("predicting", done, total),
        )
    typer.echo(f"comparison: {written}")
