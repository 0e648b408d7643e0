"""`s4mi evaluate`: score a finished run."""

from pathlib import Path

import typer

from s4mi.cli.options import Part


def evaluate(
    run: Path = typer.Argument(..., metavar="RUN_DIR"),
    part: Part = typer.Option(Part.test, "--split", help="Which part of the run's own split to score."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of tables."),
) -> None:
    """Score the best weights of a run on a part of its own split; segmentation on the images' own pixels."""
    from s4mi.cli.console import print_scores, setup_logging
    from s4mi.training.evaluate import evaluate_run

    setup_logging()
    scores = evaluate_run(run, part.value)
    if as_json:
        typer.echo(scores.model_dump_json(indent=2))
    else:
        print_scores({part.value: scores})
