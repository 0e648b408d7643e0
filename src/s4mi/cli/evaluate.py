"""`s4mi evaluate`: score a finished run."""

from pathlib import Path

import typer

from s4mi.cli.options import Part


def evaluate(
    run: Path = typer.Argument(..., metavar="RUN_DIR", help="Folder of a finished run."),
    part: Part = typer.Option(Part.test, "--split", help="Part of the run's own split to score."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of tables."),
) -> None:
    """Score the best weights of a run on a part of its own split; segmentation at the images' own size."""
    from s4mi import api
    from s4mi.cli.console import print_scores, setup_logging

    setup_logging()
    scores = api.evaluate(run, part=part.value).scores
    if as_json:
        typer.echo(scores.model_dump_json(indent=2))
    else:
        print_scores({part.value: scores})
