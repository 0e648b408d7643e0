"""`s4mi report`: a page, or tables, on all runs below a folder."""

from pathlib import Path

import typer


def report(
    folder: Path = typer.Argument(..., metavar="DIR", help="Folder that holds runs, at any depth."),
    out: Path = typer.Option(
        Path("report.html"), "-o", "--out",
        help="Output page (.html), or its tables: .md, .tex, .csv (and NAME-runs.csv).",
    ),
    title: str | None = typer.Option(None, help="Title of the page.  [default: the folder's name]"),
    target: float | None = typer.Option(
        None, "--target", metavar="SCORE",
        help="Also estimate how many labels each technique needs for this macro F1 or IoU, e.g. 0.85.",
    ),
    sheets: bool = typer.Option(
        True, "--sheets/--no-sheets", help="Show some test images: masks, saliency maps, best and worst cases."
    ),
    names: bool = typer.Option(
        True, "--names/--no-names", help="Show the names of patients and images; else number them and show no image."
    ),
) -> None:  # fmt: skip
    """Compare all finished runs on one self-contained page, and list those that are not finished."""
    from s4mi import api
    from s4mi.cli.console import print_gains, setup_logging
    from s4mi.formatting import plural

    setup_logging()
    made = api.report(folder, out, title=title, sheets=sheets, target=target, names=names)
    for note in made.notes:
        typer.echo(note, err=True)
    print_gains(made.gains)
    finished, files = made.runs + made.pretrainings, ", ".join(map(str, made.files))
    typer.echo(f"{plural(finished, 'finished run')}, {made.pretrainings} of pre-training: {files}")
