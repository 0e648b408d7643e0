"""`s4mi view`: look at a data set in a browser, correct annotations, and follow a study."""

from pathlib import Path

import typer


def view(
    dataset: Path = typer.Argument(Path(), metavar="[DATASET]", help="Data set folder.  [default: this folder]"),
    runs: list[Path] = typer.Option(
        [], "--run", metavar="RUN", help="Run or exported model whose predictions are shown; may be repeated."
    ),
    study: Path | None = typer.Option(
        None, "--study", help="Folder of a study to follow while it runs; its finished runs are shown too."
    ),
    ranking: Path | None = typer.Option(
        None, "--next", metavar="TABLE", help="Table of s4mi suggest: the images to annotate next, in its order."
    ),
    host: str = typer.Option(
        "127.0.0.1", "--host", help="Address to listen at; any other than this machine's own is open to the network."
    ),
    port: int | None = typer.Option(
        None,
        "--port",
        min=0,
        max=65535,
        help="Port to listen at; 0: any free one.  [default: the first free from 8765]",
    ),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page in the browser."),
    read_only: bool = typer.Option(
        False, "--read-only", help="Look only: nothing is written, and several may look at once."
    ),
) -> None:
    """Look at images, masks and predictions in a browser, correct them, and merge the corrections.

    Everything stays on this machine. Press Ctrl-C to stop; corrections are kept until they are merged or taken back.
    """
    from s4mi.api.viewing import open_view
    from s4mi.cli.console import print_line, setup_logging

    setup_logging(facts=False)
    _log_lines()
    server = open_view(dataset, run=runs, study=study, host=host, port=port, read_only=read_only, ranking=ranking)

    def started() -> None:
        print_line(server.url)
        if host not in ("127.0.0.1", "localhost", "::1"):
            print_line("open to the network without encryption; who has this address can change the data set")
        if browser:
            import webbrowser

            webbrowser.open(server.url)

    server.run(started)


def _log_lines() -> None:
    """Write the log of the server to standard error, one line per entry, which a terminal does not wrap."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("s4mi.viewer")
    logger.handlers, logger.propagate = [handler], False
