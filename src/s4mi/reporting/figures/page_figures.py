"""The figures of one comparison with their captions, as shown on the page."""

from collections.abc import Sequence

from markupsafe import Markup

from s4mi.formatting import duration
from s4mi.reporting.figures import results as figures
from s4mi.reporting.figures.score_by_labels import caption, missing, score_by_labels
from s4mi.reporting.figures.svg import CaptionedFigure
from s4mi.reporting.results.cards import TaskCard
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.costs import BUSY_NOTE, cost_rows
from s4mi.reporting.results.findings import rank
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import metric_of
from s4mi.reporting.results.tables import ResultTable


def card_figure(card: TaskCard) -> CaptionedFigure | str:
    """The one figure of a card, or what is missing for it."""
    table = card.findings.table
    svg = score_by_labels(card.findings.comparison, table)
    return missing(table) if svg is None else CaptionedFigure(Markup(svg), caption(table))


def comparison_figures(
    comparison: Comparison, table: ResultTable, runs: Sequence[ReportRun]
) -> tuple[CaptionedFigure, ...]:
    """Draw every further figure of a comparison for which there is data, with its caption."""
    metric = table.metric
    without = " and without labels" if comparison.fractions[0] == 0 else ""
    drawn = [
        (
            figures.cost_score(comparison, metric=metric),
            f"Test {metric.label} by training time, a point per label fraction, larger for more labels."
            + _shared_cost(comparison),
        ),
        (
            figures.per_class_bars(comparison, metric=metric),
            "Test score per class at the largest label fraction. An interval that leaves the axis "
            "extends beyond the range of the score.",
        ),
        _confusion(comparison, table),
        (
            figures.learning_curves(comparison, runs),
            f"Learning curves at the smallest and the largest label fraction{without}, one line per run. The marker is "
            "the epoch selected on validation.",
        ),
    ]
    return tuple(CaptionedFigure(Markup(svg), caption) for svg, caption in drawn if svg)


def _confusion(comparison: Comparison, table: ResultTable) -> tuple[str | None, str]:
    """Confusion matrix of the best technique at the largest label fraction that was tested."""
    rankings = [ranking for column in range(len(table.columns)) if (ranking := rank(table, column))]
    if not rankings:
        return None, ""
    best, fraction = rankings[-1].entries[0].technique, rankings[-1].column.fraction
    if comparison.task == "multilabel":
        shares = (
            "percentages are of the images with the class (true positive, false negative) or without it (false "
            "positive, true negative)"
        )
    else:
        shares = "percentages and shading are of the true class"
    svg = figures.confusion(comparison, best, fraction=fraction)
    title = f"Confusion matrix of {best.label} at {rankings[-1].column.in_words}"
    return svg, f"{title}: test images summed over seeds; {shares}."


def _shared_cost(comparison: Comparison) -> str:
    """Note on pre-training and on computing features, which the training times do not include."""
    rows = cost_rows(comparison, metric_of(comparison.task))
    notes = (
        ("Pre-training is not included; shared by all runs that start from it:", [r.pretraining_seconds for r in rows]),
        ("Computing features is not included; shared by all runs fitted to them:", [r.feature_seconds for r in rows]),
    )
    text = ""
    for note, seconds in notes:
        times = {f"{duration(s)} for {row.technique.label}" for row, s in zip(rows, seconds, strict=True) if s}
        text += f" {note} {', '.join(sorted(times))}." if times else ""
    return f"{text} {BUSY_NOTE}" if any(row.busy for row in rows) else text
