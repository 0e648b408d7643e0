"""`s4mi report`: a page, or tables, on all runs below a folder."""

from pathlib import Path

import typer


def report(
    folder: Path = typer.Argument(..., metavar="DIR", help="Folder that holds runs, at any depth."),
    out: Path = typer.Option(
        Path("report.html"), "-o", "--out", help="The page, .html; or its tables: .md, .tex, .csv (and NAME-runs.csv)."
    ),
    title: str | None = typer.Option(None, help="Of the page.  [default: the folder's name]"),
    sheets: bool = typer.Option(True, "--sheets/--no-sheets", help="Show some test images: masks, saliency, cases."),
) -> None:
    """Compare all finished runs in one page that opens anywhere, and say what is not finished."""
    from s4mi.cli.console import print_gains, setup_logging
    from s4mi.recipes.report import report as make_report

    setup_logging()
    made = make_report(folder, out, title=title, sheets=sheets)
    for note in made.notes:
        typer.echo(note, err=True)
    print_gains(made.gains)
    finished, files = made.runs + made.pretrainings, ", ".join(map(str, made.files))
    typer.echo(f"{finished} finished run{'' if finished == 1 else 's'}, {made.pretrainings} of pre-training: {files}")
