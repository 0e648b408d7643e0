"""`s4mi demo`: see a comparison and its report without any data of one's own."""

from pathlib import Path

import typer


def demo(
    out: Path = typer.Option(Path("s4mi-demo"), "-o", "--out", help="Folder for data, runs and report."),
    seeds: int = typer.Option(2, min=1, help="How often each comparison is repeated with another seed."),
    seconds: float = typer.Option(300, min=1, help="Time until the report; what does not fit is left out."),
    workers: int | None = typer.Option(
        None, "--workers", metavar="N", min=0,
        help="Processes that make a run each at a time; 0: this one.  [default: 2 where there are two cores]",
    ),
) -> None:  # fmt: skip
    """Compare techniques on two drawn data sets and write a report, in at most six minutes on two cores.

    It is a study like any other: DIR/study.yaml is its file, for you to copy.
    """
    import time

    begin = time.monotonic()  # the first import of the libraries from a cold disk counts as well

    import joblib

    from s4mi.cli.console import setup_logging
    from s4mi.cli.study import STOPPED, count_failures, write_study_report
    from s4mi.cli.study_progress import display
    from s4mi.studies.demo import NOTES, STUDY_FILE, demo_study, draw, example_sheets
    from s4mi.studies.run import run_study

    setup_logging(facts=False)
    manifests = draw(out, typer.echo)
    if workers is None:
        workers = 2 if joblib.cpu_count() > 1 else 0
    study = demo_study(out, seeds=seeds, seconds=seconds - (time.monotonic() - begin))
    try:
        with display() as shown:
            outcomes = run_study(study, out, workers=workers, tell=shown.tell)
    except KeyboardInterrupt:
        typer.echo("go on from here with the same command", err=True)
        raise typer.Exit(STOPPED) from None
    write_study_report(out, "s4mi demonstration", outcomes, more_notes=NOTES, sheets=example_sheets(manifests))
    typer.echo(
        f"next, your own images: s4mi data import folder IMAGES -o datasets/mine, copy {out / STUDY_FILE}, name the "
        "data set in it, and: s4mi study run MY_STUDY.yaml -o results/mine"
    )
    count_failures(outcomes)
