"""What several commands print alike."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from s4mi.records import ClassificationScores, Scores

if TYPE_CHECKING:
    from s4mi.report.new_annotations import Gains
    from s4mi.report.tables import ResultTable


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


def print_scores(parts: Mapping[str, Scores | None]) -> None:
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

    from s4mi.report.tables import text_rows

    header, *rows = text_rows(table, best="[bold]{}[/bold]".format)
    shown = Table(
        *header,
        title=f"{table.dataset}: {table.metric.label} ({table.task})",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for row in rows:
        shown.add_row(*row)
    Console().print(shown, "")


def print_gains(gains: "Sequence[Gains]") -> None:
    """What new annotations brought: a line a technique and amount of labels, and what may be said of all."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for one in gains:
        console.print(f"{one.title}: {one.metric.label} by the new annotations", style="italic")
        for row in one.rows:
            console.print(f"version {row.version} → {one.version}, {row.line}")
        console.print(one.sentence[0].upper() + one.sentence[1:], "", sep="\n")


def _class_score_names(scores: Scores) -> tuple[str, ...]:
    return ("f1", "recall") if isinstance(scores, ClassificationScores) else ("iou", "dice")


def _shown(value: float | int | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
