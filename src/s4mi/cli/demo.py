"""`s4mi demo`: a comparison and its report on synthetic images."""

from pathlib import Path

import typer


def demo(
    out: Path = typer.Option(Path("s4mi-demo"), "-o", "--out", help="Folder for data, runs and report."),
    seeds: int = typer.Option(2, min=1, help="Number of seeds of each run."),
    seconds: float = typer.Option(300, min=1, help="Seconds until the report; if they are short, seeds are left out."),
    workers: int | None = typer.Option(
        None, "--workers", metavar="N", min=0, show_default="2 on at least two cores, else 0",
        help="Worker processes, which train a run each at a time; 0: train in this process.",
    ),
) -> None:  # fmt: skip
    """Compare techniques on two synthetic data sets and write a report, in at most six minutes on two cores.

    On a slow machine networks are trained for fewer epochs, so that all techniques are compared. The demonstration is
    a regular study; copy its file DIR/study.yaml to write your own.
    """
    import time

    start = time.monotonic()  # the first import of the libraries from a cold disk counts as well

    import joblib

    from s4mi.cli.console import setup_logging
    from s4mi.cli.study import INTERRUPTED, both, exit_on_failures, report_outcomes
    from s4mi.cli.study_progress import create_display
    from s4mi.studies.demo import STUDY_FILE, demo_notes, demo_study, draw, effort_for, effort_of, example_sheets
    from s4mi.studies.live_report import LiveReport
    from s4mi.studies.machine_speed import cores_worth
    from s4mi.studies.run import run_study

    setup_logging(facts=False)
    manifests = draw(out, typer.echo)
    processes = 2 if joblib.cpu_count() > 1 else 1
    cores = cores_worth(processes)
    if workers is None:  # where there is less than a core, a second process costs more than it brings
        workers = 2 if processes > 1 and cores > 1 else 0
    left = seconds - (time.monotonic() - start)
    effort = effort_of(out) or effort_for(cores, seconds=left)
    study = demo_study(out, seeds=seeds, seconds=left, effort=effort)
    live = LiveReport(out, title="s4mi demonstration", notes=demo_notes(effort), images=example_sheets(manifests))
    try:
        with create_display() as display:
            outcomes = run_study(study, out, workers=workers, on_event=both(display.handle, live.handle))
    except KeyboardInterrupt:
        live.interrupted()
        typer.echo("interrupted; rerun the same command to resume", err=True)
        raise typer.Exit(INTERRUPTED) from None
    report_outcomes(live, outcomes)
    typer.echo(
        f"next, use your own images: s4mi data import folder IMAGES -o datasets/mine, copy {out / STUDY_FILE}, replace "
        "its data sets with yours, and run: s4mi study run MY_STUDY.yaml -o results/mine"
    )
    exit_on_failures(outcomes)
