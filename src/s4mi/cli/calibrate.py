"""`s4mi calibrate`: temperature scaling."""

from pathlib import Path

import typer


def calibrate(
    runs: list[Path] = typer.Argument(..., metavar="RUN_DIR...", help="Folders of finished runs."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document per run instead of tables."),
) -> None:
    """Fit temperature scaling and, for multi-label tasks, per-class thresholds on validation."""
    from rich.console import Console
    from rich.table import Table

    from s4mi import api
    from s4mi.cli.console import setup_logging

    setup_logging()
    for run in runs:
        fitted = api.calibrate(run)
        if as_json:
            typer.echo(fitted.calibration.model_dump_json(indent=2))
            continue
        table = Table(title=f"{run}: temperature {fitted.temperature:.3f}")
        for column in ("part", "predictions", "calibration error", "with temperature", "NLL", "with temperature"):
            table.add_column(column, justify="left" if column == "part" else "right")
        for part, predictions, *numbers in fitted.table.rows():
            table.add_row(part, str(predictions), *(f"{number:.4f}" for number in numbers))
        Console(soft_wrap=True).print(table)
        for warning in fitted.warnings:
            typer.echo(warning)
        for label, threshold in fitted.thresholds.items():
            typer.echo(f"{label}: predicted above {threshold:.3f}")
        typer.echo(str(fitted.file))
