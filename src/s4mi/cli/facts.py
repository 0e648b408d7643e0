"""What the commands about data print: progress, names with their values, and findings."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s4mi.data.spec import Finding

SHOWN = 20
"""Findings of one kind that are printed; one broken export can fill thousands of lines, and `--json` holds them all."""
STYLES = {"error": "red", "warning": "yellow", "note": "dim"}


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, of: bar.update(task, description=what, completed=done, total=of)


def print_facts(*facts: tuple[str, str]) -> None:
    """Names and values in two columns; empty values are left out."""
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        if value:
            grid.add_row(f"  {name}", value)
    Console(markup=False, highlight=False).print(grid)


def print_findings(findings: Iterable["Finding"], *, folder: str = "") -> None:
    said: dict[str, int] = {}
    for finding in findings:
        said[finding.code] = said.get(finding.code, 0) + 1
        if said[finding.code] <= SHOWN:
            place = str(Path(folder, finding.place))
            print_line(f"{finding.severity}: {place}: {finding.message}", style=STYLES[finding.severity])
    for code, count in said.items():
        if count > SHOWN:
            print_line(f"… and {count - SHOWN} more of the kind {code}; --json lists them all")


def print_line(line: str, *, style: str = "") -> None:
    """One line as it is: never cut or broken, so that it can be searched and copied."""
    from rich.console import Console

    Console(markup=False, highlight=False, soft_wrap=True).print(line, style=style)


def counted(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in pairs)


def how_many(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
