"""Output that several commands share."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s4mi.api.progress import StepCallback
    from s4mi.data.spec import Finding
    from s4mi.records import Scores
    from s4mi.reporting.results.tables import ResultTable
    from s4mi.reporting.results.version_gains import VersionGains


def setup_logging(*, facts: bool = True) -> None:
    """Send warnings of this package, and `facts` such as the weights loaded, to standard error; silence libraries."""
    import warnings

    from rich.logging import RichHandler

    from s4mi.api.progress import error_console
    from s4mi.api.quiet import LOGGERS, WARNING_MODULES

    handler = RichHandler(console=error_console(), show_time=False, show_path=False)
    logger = logging.getLogger("s4mi")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if facts else logging.WARNING)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=WARNING_MODULES)


def print_scores(parts: "Mapping[str, Scores | None]") -> None:
    """Print the main scores, one column per part, and the scores per class below."""
    from s4mi.cli.tables import print_table

    known = {part: scores for part, scores in parts.items() if scores is not None}
    if not known:
        return
    names = [name for name, value in next(iter(known.values())).model_dump().items() if isinstance(value, int | float)]
    print_table(
        ("score", *known), [(name, *(_shown(getattr(scores, name)) for scores in known.values())) for name in names]
    )
    print_line("")
    rows = []
    for label in dict.fromkeys(label for scores in known.values() for label in scores.per_class):
        cells = [
            _shown(getattr(scores.per_class.get(label), name, None))  # an external test set may lack a class
            for scores in known.values()
            for name in _class_score_names(scores)
        ]
        rows.append((label, *cells))
    print_table(("class", *(f"{part} {name}" for part in known for name in _class_score_names(known[part]))), rows)


def print_result_table(table: "ResultTable") -> None:
    """Print techniques by label fraction: mean and interval on the test part, the best of each column in bold."""
    from rich.text import Text

    from s4mi.cli.tables import print_table
    from s4mi.reporting.results.tables import score_table

    scores = score_table(table)
    print_table(
        [column.plain for column in scores.columns],
        [[Text(cell.plain, style="bold" if cell.emphasis else "") for cell in row.cells] for row in scores.rows],
        title=f"{table.dataset}: {table.metric.label} ({table.task})",
    )
    print_line("")


def print_gains(gains: "Sequence[VersionGains]") -> None:
    """Print what new annotations changed: one line per technique and number of labels, and a summary."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for one in gains:
        console.print(f"{one.title}: {one.metric.label} before and after the new annotations", style="italic")
        for row in one.rows:
            console.print(f"version {row.version} → {one.version}, {row.line}")
        console.print(one.sentence[0].upper() + one.sentence[1:], "", sep="\n")


def _class_score_names(scores: "Scores") -> tuple[str, ...]:
    from s4mi.records import ClassificationScores

    return ("f1", "recall") if isinstance(scores, ClassificationScores) else ("iou", "dice")


def _shown(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"


SHOWN = 20
"""Findings of one kind that are printed: one broken export can cause thousands. `--json` lists all."""
STYLES = {"error": "red", "warning": "yellow", "note": "dim"}


def progress_bar() -> "AbstractContextManager[StepCallback]":
    """Return a progress bar on standard error, where that is a terminal."""
    from s4mi.api.progress import step_progress

    return step_progress(True)


def print_facts(*facts: tuple[str, str]) -> None:
    """Print names and values in two columns; empty values are left out."""
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        if value:
            grid.add_row(f"  {name}", value)
    Console(markup=False, highlight=False).print(grid)


def print_findings(findings: Iterable["Finding"], *, folder: str = "", hint: str = "") -> None:
    """Print findings, at most `SHOWN` of each kind, and how many more there are, with a hint at where to see them."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
        if counts[finding.code] <= SHOWN:
            location = str(Path(folder, finding.location))
            print_line(f"{finding.severity}: {location}: {finding.message}", style=STYLES[finding.severity])
    for code, count in counts.items():
        if count > SHOWN:
            print_line(f"… and {count - SHOWN} more of the kind {code}{hint}")


def print_line(line: str, *, style: str = "") -> None:
    """Print one line as it is, never cut or wrapped, so that it can be searched and copied."""
    from rich.console import Console

    Console(markup=False, highlight=False, soft_wrap=True).print(line, style=style)


def counted(pairs: Iterable[tuple[str, int]]) -> str:
    """Return names with their counts: `nevus 12, melanoma 3`."""
    return ", ".join(f"{name} {count}" for name, count in pairs)


def how_many(number: int, noun: str) -> str:
    """Return a count with its noun: `no errors`, `1 error`, `2 errors`."""
    from s4mi.formatting import plural

    return plural(number, noun) if number else f"no {noun}s"
