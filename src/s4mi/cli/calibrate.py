"""`s4mi calibrate`: temperature scaling."""

from pathlib import Path

import typer


def calibrate(
    runs: list[Path] = typer.Argument(..., metavar="RUN_DIR...", help="Folders of finished runs."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document per run instead of tables."),
) -> None:
    """Fit temperature scaling and, for multi-label tasks, per-class thresholds on validation."""
    from s4mi import api
    from s4mi.cli.console import setup_logging
    from s4mi.cli.tables import print_table

    setup_logging()
    for run in runs:
        fitted = api.calibrate(run)
        if as_json:
            typer.echo(fitted.calibration.model_dump_json(indent=2))
            continue
        print_table(
            ("part", "predictions", "calibration error", "with temperature", "NLL", "NLL with temperature"),
            [
                (part, str(predictions), *(f"{number:.4f}" for number in numbers))
                for part, predictions, *numbers in fitted.table.rows()
            ],
            title=f"{run}: temperature {fitted.temperature:.3f}",
            numbers=True,
        )
        for warning in fitted.warnings:
            typer.echo(warning)
        for label, threshold in fitted.thresholds.items():
            typer.echo(f"{label}: predicted above {threshold:.3f}")
        typer.echo(str(fitted.file))
