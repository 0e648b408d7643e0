"""`s4mi study`: many runs from one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from s4mi.data.cyclic_garbage import no_cyclic_garbage

if TYPE_CHECKING:
    from s4mi.config import StudyConfig
    from s4mi.studies.events import Event, EventHandler, RunOutcome
    from s4mi.studies.live_report import LiveReport

app = typer.Typer(
    help="Compare techniques: every technique, label fraction and seed of one file.", no_args_is_help=True
)

STUDY = typer.Argument(..., metavar="STUDY.yaml", help="Study file; studies/ contains examples.")
OVERRIDES = typer.Argument(
    None, metavar="[KEY=VALUE]...", help="Settings that override those of the file, e.g. seeds=[0]"
)
INTERRUPTED = 130
"""Exit status after Ctrl-C."""


@app.command()
def plan(
    study_file: Path = STUDY,
    overrides: list[str] = OVERRIDES,
    out: Path | None = typer.Option(
        None, "-o", "--out", metavar="DIR", help="Folder of the study, if it has been started."
    ),
) -> None:
    """Print the runs of a study as a tree, with their status, and check their settings.

    Also print what the study can show: the smallest difference between two techniques at 80 % power, whether the
    labels needed can be estimated, and what more seeds would add and cost. Remaining time is training time, estimated
    from finished runs of the same kind, one run after the other.
    """
    with no_cyclic_garbage():
        _print_plan(study_file, overrides or (), out)


def _print_plan(study_file: Path, overrides: Sequence[str], out: Path | None) -> None:
    from s4mi.config.first_look import look_at_study

    look_at_study(study_file, overrides)

    from s4mi.cli.study_tree import budget_line, total_line, tree_lines
    from s4mi.config import plan_study, unneeded
    from s4mi.config.study_file import read_study
    from s4mi.studies.erased_runs import erased_line
    from s4mi.studies.preflight import check_plan, missing_datasets, too_few_labels
    from s4mi.studies.run_state import as_begun, older_defaults
    from s4mi.studies.status import study_status

    study = read_study(study_file, overrides)
    study = study if out is None else as_begun(study, out)
    runs = list(plan_study(study, Path() if out is None else out.absolute(), origin=str(study_file)))
    status = study_status(runs, out, budget=study.seconds)
    for line in tree_lines(status.runs):
        typer.echo(line)
    if len(missing_datasets(runs)) < len({planned.config.data.path for planned in runs}):
        from s4mi.studies.plan_questions import questions  # which scipy answers, and data sets ask

        for line in questions(status, out):
            typer.echo(line)
    typer.echo(total_line(status.runs))
    for name in unneeded(study):
        typer.echo(f"pretraining {name!r}: not needed by any arm, will not be run")
    if study.budget is not None:
        typer.echo(budget_line(status, study.budget))
    if (erased := erased_line(status.erased, done=False)) is not None:
        typer.echo(erased, err=True)
    if status.version_note is not None:
        typer.echo(status.version_note, err=True)
    if out is not None and (note := older_defaults(out)):
        typer.echo(note, err=True)
    unfinished = [run.planned for run in status.runs if run.state.record is None]
    missing = missing_datasets(unfinished)
    for line in missing.values():
        typer.echo(line, err=True)
    present = [planned for planned in unfinished if planned.config.data.path not in missing]
    if study.unsupported == "refuse":
        check_plan(present)
        return
    for name, reason in too_few_labels(present).items():
        typer.echo(f"{name}: {reason}, will be skipped")


@app.command()
def run(
    study_file: Path = STUDY,
    overrides: list[str] = OVERRIDES,
    out: Path = typer.Option(..., "-o", "--out", metavar="DIR", help="Folder of the study; finished runs are kept."),
    workers: int | None = typer.Option(
        None, "--workers", metavar="N", min=0, show_default="1; with --ray as many as the cluster has room for",
        help="Worker processes, which train a run each at a time and share cores and GPUs; 0: train in this process.",
    ),
    ray: str | None = typer.Option(
        None, "--ray", metavar="ADDRESS",
        help="Train on a Ray cluster: auto, local, HOST:PORT or ray://HOST:PORT. Its hosts must share DIR.",
    ),
    sheets: bool = typer.Option(True, "--sheets/--no-sheets", help="Include test images in the report."),
) -> None:  # fmt: skip
    """Train all unfinished runs and write DIR/report.html, which is updated while they are trained.

    A failed run is retried once and does not stop the others; failure.json and log.txt in its folder contain the
    reason. After any interruption, rerun the same command to resume.
    """
    from s4mi.config.first_look import look_at_study

    look_at_study(study_file, overrides or ())

    from s4mi.cli.console import setup_logging
    from s4mi.cli.study_progress import create_display
    from s4mi.config import load_study
    from s4mi.studies.live_report import LiveReport
    from s4mi.studies.run import run_study
    from s4mi.studies.run_state import older_defaults

    setup_logging(facts=False)  # the records of the runs contain them
    study = load_study(study_file, overrides or ())
    if note := older_defaults(out):
        typer.echo(note, err=True)
    live = LiveReport(out, title=study_file.stem, sheets=sheets)
    try:
        with create_display() as display:
            worker_count = int(ray is None) if workers is None else workers
            outcomes = run_study(study, out, workers=worker_count, ray=ray, on_event=both(display.handle, live.handle))
    except KeyboardInterrupt:
        live.interrupted()
        typer.echo(f"interrupted: {_finished_count(study, out)}; rerun the same command to resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    report_outcomes(live, outcomes)
    exit_on_failures(outcomes)


def _finished_count(study: "StudyConfig", out: Path) -> str:
    from s4mi.config import plan_study
    from s4mi.studies.run_state import as_begun
    from s4mi.training.run_dir import RunDir

    runs = list(plan_study(as_begun(study, out), out.absolute()))
    return f"{sum(RunDir(out / run.name).finished for run in runs)} of {len(runs)} runs finished"


def both(first: "EventHandler", second: "EventHandler") -> "EventHandler":
    """Return a handler that calls two."""

    def handle(event: "Event") -> None:
        first(event)
        second(event)

    return handle


def report_outcomes(live: "LiveReport", outcomes: Sequence["RunOutcome"]) -> None:
    """Print the result tables of a study and write its report."""
    from s4mi.cli.console import print_gains, print_result_table
    from s4mi.reporting.results.tables import result_tables
    from s4mi.studies.progress_line import progress_line

    written = live.finish(outcomes)
    for table in result_tables([run.record for run in written.tested], written.tested):
        print_result_table(table)
    print_gains(written.gains)
    if any(one.record is None for one in outcomes):
        typer.echo(progress_line([one.planned for one in outcomes], {one.planned.name: one for one in outcomes}))
    typer.echo(f"report: {written.files[0]}")


def exit_on_failures(outcomes: Sequence["RunOutcome"]) -> None:
    """Print how many runs failed, and exit with status 1 if any did."""
    failed = [outcome for outcome in outcomes if outcome.failed]
    if not failed:
        return
    attempted = sum(outcome.attempted for outcome in failed)
    counts = [f"{attempted} of {len(outcomes)} runs failed"] if attempted else []
    if attempted < len(failed):
        total = "" if attempted else f" of {len(outcomes)} runs"
        counts.append(f"{len(failed) - attempted}{total} not run")
    typer.echo(f"{', '.join(counts)}; fix the errors above and rerun the same command", err=True)
    raise typer.Exit(1)
