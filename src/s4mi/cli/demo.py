"""`s4mi demo`: see a comparison and its report without any data of one's own."""

from pathlib import Path

import typer


def demo(
    out: Path = typer.Option(Path("s4mi-demo"), "-o", "--out", help="Folder for data, runs and report."),
    seeds: int = typer.Option(2, min=1, help="How often each comparison is repeated with another seed."),
    seconds: float = typer.Option(300, min=1, help="Time until the report; what does not fit is left out."),
) -> None:
    """Compare techniques on two drawn data sets and write a report, in at most six minutes on two cores."""
    import time

    begin = time.monotonic()  # the first import of the libraries from a cold disk counts as well

    from rich.console import Console

    from s4mi.cli.console import print_result_table, setup_logging
    from s4mi.recipes.demo import demo as run_demo
    from s4mi.report.runs import load_runs
    from s4mi.report.tables import result_tables

    setup_logging(facts=False)
    console = Console(soft_wrap=True, highlight=False)
    report = run_demo(
        out,
        seeds=seeds,
        seconds=seconds - (time.monotonic() - begin),
        say=lambda line: console.print(f"{time.monotonic() - begin:5.0f} s  {line}"),
    )
    for table in result_tables([run.record for run in load_runs(out)[0]]):
        print_result_table(table)
    typer.echo(f"report: {report.resolve()}")
