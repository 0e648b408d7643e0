"""`s4mi export`: a run's model as one file."""

from pathlib import Path

import typer

from s4mi.cli.options import Task


def export(
    run: Path = typer.Argument(
        ..., metavar="RUN_DIR", help="Folder of a run, or of a study: then its best run by validation."
    ),
    out: Path = typer.Option(
        ..., "-o", "--out", metavar="FILE", help="Ends in .onnx, or in .pt2 for a torch.export archive."
    ),
    task: Task = typer.Option(Task.any, "--task", help="Of a study: the best of the runs with this task."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the file, and another model's card beside it."),
) -> None:
    """One file with the network and all that belongs to it, and a model card beside it.

    The file is kept only if it answers as the run does, on images of its data set. Use it with: s4mi predict FILE
    """
    from s4mi.cli.console import setup_logging
    from s4mi.recipes.export import export_run

    setup_logging()
    result = export_run(run, out, task=task.kind, overwrite=overwrite)
    if result.why:
        typer.echo(result.why)
    difference = max(result.check.difference, 1e-7)
    typer.echo(f"{result.file} ({result.megabytes:.1f} MB): answers as the run does, to {difference:.0e}")
    typer.echo(f"compared on {result.check.origin}")
    typer.echo(f"model card: {result.card}")
