"""`s4mi study`: many runs from one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from s4mi.config import PlannedRun, StudyConfig
    from s4mi.report.writers.html import ReportImage
    from s4mi.studies.events import RunOutcome

app = typer.Typer(
    help="Compare techniques: every technique, label fraction and seed of one file.", no_args_is_help=True
)

STUDY = typer.Argument(..., metavar="STUDY.yaml", help="What is compared; studies/ holds examples.")
OVERRIDES = typer.Argument(None, metavar="[KEY=VALUE]...", help="Settings that replace the file's, e.g. seeds=[0]")
STOPPED = 130
"""Exit status after Ctrl-C."""


@app.command()
def plan(
    study_file: Path = STUDY,
    overrides: list[str] = OVERRIDES,
    out: Path | None = typer.Option(None, "-o", "--out", metavar="DIR", help="Folder of the study, if it has begun."),
) -> None:
    """List the runs that a study comes to as a tree, check the settings of each, and say what is done.

    The time that is left is that of training, at the pace of finished runs that are alike, one run after the other.
    """
    from s4mi.cli.study_tree import budgeted, total, tree
    from s4mi.config import load_study, plan_study, unneeded
    from s4mi.studies.preflight import check_plan, missing_datasets
    from s4mi.studies.status import study_status

    study = load_study(study_file, overrides or ())
    runs = list(plan_study(study, Path() if out is None else out.absolute()))
    seen = study_status(runs, out, budget=study.seconds)
    for line in tree(seen.runs):
        typer.echo(line)
    typer.echo(total(seen.runs))
    for name in unneeded(study):
        typer.echo(f"pretraining {name!r}: no arm starts from it, so it is not made")
    if study.budget is not None:
        typer.echo(budgeted(seen, study.budget))
    if seen.note is not None:
        typer.echo(seen.note, err=True)
    left = [run.planned for run in seen.runs if run.standing.record is None]
    missing = missing_datasets(left)
    for line in missing.values():
        typer.echo(line, err=True)
    check_plan([planned for planned in left if planned.config.data.path not in missing])


@app.command()
def run(
    study_file: Path = STUDY,
    overrides: list[str] = OVERRIDES,
    out: Path = typer.Option(..., "-o", "--out", metavar="DIR", help="Folder of the study; runs in it are kept."),
    workers: int | None = typer.Option(
        None, "--workers", metavar="N", min=0,
        help="Processes that make a run each at a time and share cores and GPUs; 0: this process.  "
        "[default: 1; with --ray as many as there is room for]",
    ),
    ray: str | None = typer.Option(
        None, "--ray", metavar="ADDRESS",
        help="Let a Ray cluster make the runs: auto, local, HOST:PORT or ray://HOST:PORT. Its hosts share DIR.",
    ),
    sheets: bool = typer.Option(True, "--sheets/--no-sheets", help="Show some test images in the report."),
) -> None:  # fmt: skip
    """Run what is not finished yet, and write DIR/report.html.

    A run that fails is tried once more and stops no other; its folder says why, in failure.json and log.txt. After an
    interruption of any kind the same command goes on.
    """
    from s4mi.cli.console import setup_logging
    from s4mi.cli.study_progress import display
    from s4mi.config import load_study
    from s4mi.studies.run import run_study

    setup_logging(facts=False)  # of a hundred runs, each has its record
    study = load_study(study_file, overrides or ())
    try:
        with display() as shown:
            number = int(ray is None) if workers is None else workers
            outcomes = run_study(study, out, workers=number, ray=ray, tell=shown.tell)
    except KeyboardInterrupt:
        typer.echo(f"interrupted: {_how_far(study, out)}, and the same command goes on from there", err=True)
        raise typer.Exit(STOPPED) from None
    write_study_report(out, study_file.stem, outcomes, pictures=sheets)
    count_failures(outcomes)


def _how_far(study: "StudyConfig", out: Path) -> str:
    from s4mi.config import plan_study
    from s4mi.training.run_dir import RunDir

    runs: Sequence[PlannedRun] = tuple(plan_study(study, out.absolute()))
    return f"{sum(RunDir(out / run.name).finished for run in runs)} of {len(runs)} runs are done"


def write_study_report(
    out: Path,
    title: str,
    outcomes: Sequence["RunOutcome"],
    *,
    more_notes: Sequence[str] = (),
    sheets: Sequence["ReportImage"] = (),
    pictures: bool = True,
) -> None:
    """Print the tables of a study's runs and write `out/report.html` on them, with `pictures` of test images or not."""
    from s4mi.cli.console import print_gains, print_result_table
    from s4mi.cli.study_progress import skipped_lines
    from s4mi.recipes.report import report
    from s4mi.records import RunRecord
    from s4mi.report.results.tables import result_tables

    names = {one.planned.name for one in outcomes}
    lost = [one for one in outcomes if one.record is None and not one.tried and not one.left_out]
    notes = [*skipped_lines(outcomes, named=True), *(f"{one.planned.name}: not run: {one.failure}" for one in lost)]
    for table in result_tables([one.record for one in outcomes if isinstance(one.record, RunRecord)]):
        print_result_table(table)
    made = report(
        out, out / "report.html", title=title, sheets=pictures, notes=[*notes, *more_notes], more=sheets, only=names
    )
    print_gains(made.gains)
    for line in skipped_lines(outcomes, named=False):
        typer.echo(line)
    typer.echo(f"report: {made.files[0]}")


def count_failures(outcomes: Sequence["RunOutcome"]) -> None:
    """Say how many runs failed and leave with a status that says so, if any did."""
    lost = [outcome for outcome in outcomes if outcome.record is None and not outcome.left_out]
    if not lost:
        return
    failed = sum(outcome.tried for outcome in lost)
    counts = [f"{failed} of {len(outcomes)} runs failed"] if failed else []
    if failed < len(lost):
        counts.append(f"{len(lost) - failed}{'' if failed else f' of {len(outcomes)} runs'} could not be run")
    typer.echo(f"{', '.join(counts)}; mend what they say and give the same command", err=True)
    raise typer.Exit(1)
