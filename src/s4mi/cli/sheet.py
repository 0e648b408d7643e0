"""`s4mi sheet`: segmentation runs side by side on the same images."""

from pathlib import Path

import typer

from s4mi.cli.options import Part


def sheet(
    runs: list[Path] = typer.Argument(..., metavar="RUN_DIR...", help="Finished runs of segmentation."),
    data: Path | None = typer.Option(
        None, metavar="DATASET", help="Data set folder.  [default: that of the first run]"
    ),
    out: Path = typer.Option(Path("sheet.png"), "-o", "--out", help="The sheet, .png."),
    images: int = typer.Option(6, min=1, help="Most images; small and large objects are among them."),
    part: Part = typer.Option(Part.test, "--split", help="Show images in this part of every run's own split."),
) -> None:
    """Compare segmentation runs image by image: what each found, missed and saw wrongly, with its IoU."""
    from s4mi.cli.console import progress_bar, setup_logging
    from s4mi.visualisation.comparison_sheet import write_compare_sheet

    setup_logging()
    with progress_bar() as bar:
        written = write_compare_sheet(
            runs, out, data=data, part=part.value, images=images, progress=lambda done, of: bar("predicting", done, of)
        )
    typer.echo(f"side by side: {written}")
