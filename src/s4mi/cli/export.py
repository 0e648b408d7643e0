"""`s4mi export`: a run's model as one file."""

from pathlib import Path

import typer

from s4mi.cli.options import Task


def export(
    run: Path = typer.Argument(
        ..., metavar="RUN_DIR", help="Folder of a run, or of a study: then its best run by validation."
    ),
    out: Path = typer.Option(
        ..., "-o", "--out", metavar="FILE", help="Output file: .onnx, or .pt2 for a torch.export archive."
    ),
    task: Task = typer.Option(Task.any, "--task", help="For a study: only runs of this task."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the file and its model card."),
) -> None:
    """Export a model as one file with everything needed to use it, and a model card beside it.

    The file is kept only if its predictions equal the run's on images of its data set. Use it with: s4mi predict FILE
    """
    from s4mi import api
    from s4mi.cli.console import setup_logging

    setup_logging()
    exported = api.export(run, out, task=task.kind, overwrite=overwrite)
    if exported.reason:
        typer.echo(f"selected {exported.reason}")
    typer.echo(f"{exported.file} ({exported.megabytes:.1f} MB): same predictions as the run, to {exported.check.text}")
    typer.echo(f"compared on {exported.check.origin}")
    typer.echo(f"model card: {exported.card}")
