"""The command line: parse, call the API, print. Each command imports what it needs only when it runs."""

import os
import sys

import platformdirs
import typer
from rich.console import Console

from s4mi import __version__
from s4mi.cli import (
    calibrate,
    compare,
    data,
    demo,
    embed,
    evaluate,
    explain,
    export,
    labelstudio,
    methods,
    predict,
    report,
    simulate,
    study,
    suggest,
    train,
    view,
)
from s4mi.cli.waiting import sleep_where_shared
from s4mi.errors import S4miError
from s4mi.system_errors import system_errors

# What libraries would write into the home folder, or send; read when they are imported.
os.environ.setdefault("MPLCONFIGDIR", str(platformdirs.user_cache_path("s4mi") / "matplotlib"))
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

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
app.add_typer(labelstudio.app, name="labelstudio")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("calibrate")(calibrate.calibrate)
app.command("suggest")(suggest.suggest)
app.command("simulate")(simulate.simulate)
app.command("explain")(explain.explain)
app.command("embed")(embed.embed)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("methods")(methods.methods)
app.command("view")(view.view)
app.command("demo")(demo.demo)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"s4mi {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Machine supervision for medical imaging: many images, few labels."""


def _is_interrupt(leaving: SystemExit) -> bool:
    """Whether typer raised this for Ctrl-C; a command that handles Ctrl-C itself has printed what is kept."""
    raised = leaving.__context__
    return leaving.code == INTERRUPTED and raised is not None and isinstance(raised.__cause__, KeyboardInterrupt)


def main() -> None:
    """Run the command line; invalid input ends it with one line on standard error and exit status 1."""
    sleep_where_shared(os.environ)
    try:
        with system_errors():
            app()
    except S4miError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="red", markup=False, highlight=False)
        sys.exit(1)
    except SystemExit as leaving:
        if _is_interrupt(leaving) and os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes, only the first
            Console(stderr=True).print("interrupted; finished work is kept", style="yellow")
        raise
