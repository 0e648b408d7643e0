"""The command line: parse, call a recipe, print. Each command imports what it needs only when it runs."""

import os
import sys

import typer
from rich.console import Console

from s4mi import __version__
from s4mi.cli import (
    compare,
    data,
    demo,
    embed,
    evaluate,
    explain,
    export,
    methods,
    predict,
    report,
    simulate,
    study,
    suggest,
    train,
)
from s4mi.errors import S4miError

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

app = typer.Typer(
    name="s4mi",
    help="Machine supervision for medical imaging: many images, few labels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
app.add_typer(study.app, name="study")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("calibrate")(predict.calibrate)
app.command("suggest")(suggest.suggest)
app.command("simulate")(simulate.simulate)
app.command("explain")(explain.explain)
app.command("embed")(embed.embed)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("methods")(methods.methods)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"s4mi {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Machine supervision for medical imaging: many images, few labels."""


def _of_ctrl_c(leaving: SystemExit) -> bool:
    """Whether typer has made this of Ctrl-C, and not of the exit of a command that has said itself what is kept."""
    made = leaving.__context__
    return leaving.code == INTERRUPTED and made is not None and isinstance(made.__cause__, KeyboardInterrupt)


def main() -> None:
    """Run the command line; bad input ends it with one line on standard error and exit status 1."""
    try:
        app()
    except S4miError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
    except SystemExit as leaving:
        if _of_ctrl_c(leaving) and os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes the first says it
            Console(stderr=True).print("interrupted; finished work is kept", style="yellow")
        raise
