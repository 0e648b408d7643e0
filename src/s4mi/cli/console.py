"""What several commands print alike."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s4mi.data.spec import Finding
    from s4mi.records import Scores
    from s4mi.report.results.tables import ResultTable
    from s4mi.report.results.version_gains import VersionGains


def setup_logging(*, facts: bool = True) -> None:
    """Warnings of this package, and `facts` such as the weights loaded, go to standard error; libraries stay quiet."""
    import warnings

    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True, soft_wrap=True), show_time=False, show_path=False)
    logger = logging.getLogger("s4mi")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if facts else logging.WARNING)
    for name in ("lightning.fabric", "lightning_fabric", "huggingface_hub", "timm", "httpx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|lightning_fabric|monai|torchmetrics|timm)(\..*)?")


def print_scores(parts: "Mapping[str, Scores | None]") -> None:
    """A table of the main scores, a column a part, and the scores per class below."""
    from rich.console import Console
    from rich.table import Table

    known = {part: scores for part, scores in parts.items() if scores is not None}
    if not known:
        return
    main = Table("score", *known, box=None, pad_edge=False)
    per_class = Table(
        "class",
        *(f"{part} {name}" for part in known for name in _class_score_names(known[part])),
        box=None,
        pad_edge=False,
    )
    names = [name for name, value in next(iter(known.values())).model_dump().items() if isinstance(value, int | float)]
    for name in names:
        main.add_row(name, *(_shown(getattr(scores, name)) for scores in known.values()))
    for label in next(iter(known.values())).per_class:
        cells = [
            _shown(getattr(scores.per_class[label], name))
            for scores in known.values()
            for name in _class_score_names(scores)
        ]
        per_class.add_row(label, *cells)
    console = Console()
    console.print(main)
    console.print()
    console.print(per_class)


def print_result_table(table: "ResultTable") -> None:
    """Techniques by label fractions: mean and interval on the test part, the best of each column in bold."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from s4mi.report.results.tables import score_table

    scores = score_table(table)
    shown = Table(
        *(column.plain for column in scores.columns),
        title=f"{table.dataset}: {table.metric.label} ({table.task})",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for row in scores.rows:
        shown.add_row(*(Text(cell.plain, style="bold" if cell.emphasis else "") for cell in row.cells))
    Console().print(shown, "")


def print_gains(gains: "Sequence[VersionGains]") -> None:
    """What new annotations brought: a line a technique and amount of labels, and what may be said of all."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for one in gains:
        console.print(f"{one.title}: {one.metric.label} by the new annotations", style="italic")
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
            place = str(Path(folder, finding.location))
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
