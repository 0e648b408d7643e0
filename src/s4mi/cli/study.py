"""`s4mi study`: many runs from one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from s4mi.config import PlannedRun, StudyConfig
    from s4mi.recipes.study_events import Outcome

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
    from s4mi.cli.study_tree import total, tree
    from s4mi.config import load_study, plan_study
    from s4mi.recipes.study_outlook import outlook

    runs = list(plan_study(load_study(study_file, overrides or ()), Path() if out is None else out.absolute()))
    seen = outlook(runs, out)
    for line in tree(seen.runs):
        typer.echo(line)
    typer.echo(total(seen.runs))
    if seen.note is not None:
        typer.echo(seen.note, err=True)


@app.command()
def run(
    study_file: Path = STUDY,
    overrides: list[str] = OVERRIDES,
    out: Path = typer.Option(..., "-o", "--out", metavar="DIR", help="Folder of the study; runs in it are kept."),
    workers: int = typer.Option(
        1, "--workers", metavar="N", min=0,
        help="Processes that make a run each at a time and share the cores; 0: this process.",
    ),
) -> None:  # fmt: skip
    """Run what is not finished yet, and write DIR/report.html.

    A run that fails is tried once more and stops no other; its folder says why, in failure.json and log.txt. After an
    interruption of any kind the same command goes on.
    """
    from s4mi.cli.console import setup_logging
    from s4mi.cli.study_table import display
    from s4mi.config import load_study
    from s4mi.recipes.study import run_study

    setup_logging(facts=False)  # of a hundred runs, each has its record
    study = load_study(study_file, overrides or ())
    try:
        with display() as shown:
            outcomes = run_study(study, out, workers=workers, tell=shown.tell)
    except KeyboardInterrupt:
        typer.echo(f"go on from here with the same command; {_how_far(study, out)}", err=True)
        raise typer.Exit(STOPPED) from None
    _report(out, study_file.stem, outcomes)
    _count_failures(outcomes)


def _how_far(study: "StudyConfig", out: Path) -> str:
    from s4mi.config import plan_study
    from s4mi.recipes.run_dir import RunDir

    runs: Sequence[PlannedRun] = tuple(plan_study(study, out.absolute()))
    return f"{sum(RunDir(out / run.name).finished for run in runs)} of {len(runs)} runs are done"


def _report(out: Path, title: str, outcomes: Sequence["Outcome"]) -> None:
    from s4mi.cli.console import print_result_table
    from s4mi.recipes.study_versions import version_note
    from s4mi.report.html import write_report
    from s4mi.report.runs import load_pretrainings, load_runs
    from s4mi.report.tables import result_tables

    runs, notes = load_runs(out)
    pretrainings = load_pretrainings(out)
    failures = {each.planned.name: each for each in outcomes if each.record is None}
    notes = [note for note in notes if note.partition(":")[0] not in failures]
    notes += [f"{name}: {'failed' if each.tried else 'not run'}: {each.failure}" for name, each in failures.items()]
    apart = version_note([each.record for each in runs] + [each.record for each in pretrainings])
    for table in result_tables([each.record for each in runs]):
        print_result_table(table)
    report = write_report(
        runs, out / "report.html", title=title, notes=[*notes, *([apart] if apart else [])], pretrainings=pretrainings
    )
    typer.echo(f"report: {report}")


def _count_failures(outcomes: Sequence["Outcome"]) -> None:
    lost = [outcome for outcome in outcomes if outcome.record is None]
    if not lost:
        return
    failed = sum(outcome.tried for outcome in lost)
    counts = [f"{failed} of {len(outcomes)} runs failed"] if failed else []
    if failed < len(lost):
        counts.append(f"{len(lost) - failed}{'' if failed else f' of {len(outcomes)} runs'} could not be run")
    typer.echo(f"{', '.join(counts)}; mend what they say and give the same command", err=True)
    raise typer.Exit(1)
