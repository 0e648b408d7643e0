"""`s4mi evaluate`: score a finished run."""

from pathlib import Path

import typer

from s4mi.cli.options import Part


def evaluate(
    run: Path = typer.Argument(..., metavar="RUN_DIR", help="Folder of a finished run."),
    part: Part = typer.Option(Part.test, "--split", help="Part of the run's own split to score."),
    on: Path | None = typer.Option(
        None, "--on", metavar="DATASET", help="Score another data set instead, as an external test set of the run."
    ),
    name: str | None = typer.Option(
        None,
        "--name",
        metavar="NAME",
        help="Name of the external test set in record and report; by default its folder.",
    ),
    classes: list[str] = typer.Option(
        [], "--class", metavar="THEIRS=OURS", help="Class of the external data set that has another name in the run."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document instead of tables."),
) -> None:
    """Score the best weights of a run on a part of its own split, or on an external test set.

    Segmentation is scored at the images' own size. Classes of an external test set are matched by name; its images that
    the run has seen are left out. Its scores are added to the record of the run.
    """
    from s4mi import api
    from s4mi.cli.console import print_scores, setup_logging

    setup_logging()
    scored = api.evaluate(run, part=part.value, on=on, name=name, classes=_pairs(classes))
    if as_json:
        typer.echo(scored.scores.model_dump_json(indent=2))
        return
    print_scores({scored.part: scored.scores})
    for note in scored.notes:
        typer.echo(note)


def _pairs(given: list[str]) -> dict[str, str]:
    from s4mi.errors import S4miError

    pairs = [one.partition("=") for one in given]
    if wrong := next((one for one, pair in zip(given, pairs, strict=True) if not pair[0] or not pair[2]), None):
        raise S4miError(f"--class {wrong}: write THEIRS=OURS, such as --class tumour=lesion")
    return {theirs: ours for theirs, _, ours in pairs}
