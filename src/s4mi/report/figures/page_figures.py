"""The figures of one comparison, as a page shows them: each with what it says and what it does not."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from s4mi.formatting import duration
from s4mi.report.figures import results as figures
from s4mi.report.figures.score_bars import fraction_bars
from s4mi.report.figures.svg import CaptionedFigure
from s4mi.report.results.comparison import Comparison
from s4mi.report.results.costs import cost_rows
from s4mi.report.results.findings import rank
from s4mi.report.results.runs import ReportRun
from s4mi.report.results.scores import Metric, metric_of, percent
from s4mi.report.results.tables import ResultTable


def part_figures(comparison: Comparison, table: ResultTable, runs: Sequence[ReportRun]) -> tuple[CaptionedFigure, ...]:
    """Every figure of a comparison that there is something to draw for, with its caption."""
    metric = table.metric
    drawn = [
        (
            figures.score_by_fraction(comparison, metric=metric),
            f"What labels buy: test {metric.label} by number of labelled images. Points are means, bars are 95 % "
            "intervals over seeds, small dots are single seeds." + _at_zero(comparison),
        ),
        *_figure_5(comparison, metric),
        (
            figures.cost_score(comparison, metric=metric),
            f"What it costs: test {metric.label} by training time, a point per label fraction, larger for more labels."
            + _shared_cost(comparison),
        ),
        (
            figures.per_class_bars(comparison, metric=metric),
            "Each class on test, at the largest label fraction. A line that leaves the axis is an interval wider than "
            "the scores there are.",
        ),
        _confusion(comparison, table),
        (
            figures.learning_curves(comparison, runs),
            "Learning curves at the smallest and the largest label fraction, and without labels, one line per run. The "
            "marker is the epoch that validation chose."
            if comparison.fractions[0] == 0
            else "Learning curves at the smallest and the largest label fraction, one line per run. The marker is the "
            "epoch that validation chose.",
        ),
    ]
    return tuple(CaptionedFigure(Markup(svg), caption) for svg, caption in drawn if svg)


def _figure_5(comparison: Comparison, metric: Metric) -> Iterator[tuple[str | None, str]]:
    """Bars by label fraction, of segmentation, which the paper shows so."""
    if comparison.task == "segmentation":
        yield (
            fraction_bars(comparison, metric),
            f"The paper’s Figure 5 for this data: test {metric.label} at each label fraction. Bars are means, whiskers "
            "are 95 % intervals over seeds; one seed has none."
            + (" What learns without labels stands at 0 %." if comparison.fractions[0] == 0 else ""),
        )


def _confusion(comparison: Comparison, table: ResultTable) -> tuple[str | None, str]:
    """The mistakes of the best technique at the largest label fraction that was tested."""
    rankings = [ranking for column in range(len(table.columns)) if (ranking := rank(table, column))]
    if not rankings:
        return None, ""
    best, fraction = rankings[-1].entries[0].technique, rankings[-1].column.fraction
    counted = "test images summed over seeds"
    if comparison.task == "multilabel":
        counted += "; found and missed share the images that show the class, the other two those that do not"
    else:
        counted += ", shaded by their share of the true class"
    svg = figures.confusion(comparison, best, fraction=fraction)
    return svg, f"Where {best.label} errs at {percent(fraction)} of the labels: {counted}."


def _at_zero(comparison: Comparison) -> str:
    """What 0 % of the labels means, where something was trained with none."""
    if comparison.fractions[0] > 0:
        return ""
    return (
        " At 0 % no annotation of a training image was read; validation masks said which class each cluster is. The "
        "dotted line is the mean there."
    )


def _shared_cost(comparison: Comparison) -> str:
    """What the times do not hold: the pre-training that several runs start from."""
    told = {
        f"{duration(row.pretraining_seconds)} for {row.technique.label}"
        for row in cost_rows(comparison, metric_of(comparison.task))
        if row.pretraining_seconds is not None
    }
    return (
        f" Pre-training comes on top, shared by all runs that start from it: {', '.join(sorted(told))}." if told else ""
    )
