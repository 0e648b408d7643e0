"""`s4mi study`: many runs from one file."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from s4mi.recipes.study import Outcome

app = typer.Typer(
    help="Compare techniques: every technique, label fraction and seed of one file.", no_args_is_help=True
)

STUDY = typer.Argument(..., metavar="STUDY.yaml", help="What is compared; studies/ holds examples.")
OVERRIDES = typer.Argument(None, metavar="[KEY=VALUE]...", help="Settings that replace the file's, e.g. seeds=[0]")


@app.command()
def plan(study_file: Path = STUDY, overrides: list[str] = OVERRIDES) -> None:
    """List the runs that a study comes to, and check the settings of each."""
    from s4mi.config import load_study, plan_study

    runs = list(plan_study(load_study(study_file, overrides or ()), Path()))
    for planned in runs:
        typer.echo(f"{planned.name}  {planned.config.hash}" + (f"  from {planned.needs}" if planned.needs else ""))
    typer.echo(f"{len(runs)} runs, {sum(run.config.method.unlabelled for run in runs)} without labels")


@app.command()
def run(
    study_file: Path = STUDY,
    overrides: list[str] = OVERRIDES,
    out: Path = typer.Option(..., "-o", "--out", metavar="DIR", help="Folder of the study; runs in it are kept."),
) -> None:
    """Run what is not finished yet, one run after the other, and write DIR/report.html."""
    from s4mi.cli.console import print_result_table, setup_logging
    from s4mi.config import load_study
    from s4mi.recipes.study import run_study
    from s4mi.report.html import write_report
    from s4mi.report.runs import load_pretrainings, load_runs
    from s4mi.report.tables import result_tables

    setup_logging(facts=False)  # of a hundred runs, each has its record
    study = load_study(study_file, overrides or ())
    outcomes = run_study(study, out, done=_say)
    runs, notes = load_runs(out)
    for table in result_tables([each.record for each in runs]):
        print_result_table(table)
    report = write_report(
        runs, out / "report.html", title=study_file.stem, notes=notes, pretrainings=load_pretrainings(out)
    )
    typer.echo(f"report: {report}")
    failed = sum(outcome.record is None for outcome in outcomes)
    if failed:
        typer.echo(f"{failed} of {len(outcomes)} runs failed; mend what they say and give the same command", err=True)
        raise typer.Exit(1)


def _say(outcome: "Outcome") -> None:
    from s4mi.records import RunRecord

    record = outcome.record
    if record is None:
        typer.echo(f"{outcome.planned.name}: failed: {outcome.failure}", err=True)
    elif isinstance(record, RunRecord):
        score = getattr(record.test or record.val, record.metric)
        typer.echo(f"{outcome.planned.name}: {record.metric} {score:.3f} in {record.cost.seconds:.0f} s")
    else:
        typer.echo(f"{outcome.planned.name}: {record.epochs} epochs in {record.cost.seconds:.0f} s")
