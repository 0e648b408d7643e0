"""The figures of one comparison with their captions, as shown on the page."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from s4mi.formatting import duration
from s4mi.reporting.figures import results as figures
from s4mi.reporting.figures.score_bars import fraction_bars
from s4mi.reporting.figures.svg import CaptionedFigure
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.costs import cost_rows
from s4mi.reporting.results.findings import rank
from s4mi.reporting.results.runs import ReportRun
from s4mi.reporting.results.scores import Metric, metric_of, percent
from s4mi.reporting.results.tables import ResultTable


def comparison_figures(
    comparison: Comparison, table: ResultTable, runs: Sequence[ReportRun]
) -> tuple[CaptionedFigure, ...]:
    """Draw every figure of a comparison for which there is data, with its caption."""
    metric = table.metric
    without = " and without labels" if comparison.fractions[0] == 0 else ""
    drawn = [
        (
            figures.score_by_fraction(comparison, metric=metric),
            f"Test {metric.label} by number of labelled images. Points are means over seeds with 95 % confidence "
            "intervals; small dots are single seeds." + _at_zero(comparison),
        ),
        *_fraction_bars(comparison, metric),
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


def _fraction_bars(comparison: Comparison, metric: Metric) -> Iterator[tuple[str | None, str]]:
    """Bars by label fraction, in segmentation only, as in the paper."""
    if comparison.task == "segmentation":
        yield (
            fraction_bars(comparison, metric),
            f"The paper’s Figure 5 for this data: test {metric.label} at each label fraction. Bars are means, whiskers "
            "95 % confidence intervals over seeds; one seed has none."
            + (" Techniques that use no labels are at 0 %." if comparison.fractions[0] == 0 else ""),
        )


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
    title = f"Confusion matrix of {best.label} at {percent(fraction)} of the labels"
    return svg, f"{title}: test images summed over seeds; {shares}."


def _at_zero(comparison: Comparison) -> str:
    """Note on 0 % of the labels, if a technique was trained without labels."""
    if comparison.fractions[0] > 0:
        return ""
    return (
        " At 0 % no training annotation was used; validation masks assigned classes to the clusters. The dotted line "
        "is the mean at 0 %."
    )


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
    return text
