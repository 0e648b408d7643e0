"""The figure of label efficiency: each technique's monotone curve, its band, and the line of full supervision."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from s4mi.report.figures.results import places_of
from s4mi.report.figures.style import (
    LineStyle,
    axis_label,
    label_fractions,
    legend_below,
    line_style,
    line_styles,
    one_axes,
)
from s4mi.report.figures.svg import INK, drawing, finish
from s4mi.report.results.comparison import Comparison
from s4mi.report.results.label_efficiency import FullSupervision, TechniqueCurve
from s4mi.report.results.scores import Metric
from s4mi.report.results.tables import label_columns

_BANDS = 4
"""Of more techniques no bands are drawn: they would hide each other and the curves."""


def efficiency_figure(
    comparison: Comparison, metric: Metric, curves: Sequence[TechniqueCurve], reference: FullSupervision | None
) -> tuple[str, str]:
    """The figure and its caption; `curves` hold at least one technique that was tested."""
    columns = label_columns(comparison)
    ticks, logarithmic = places_of(columns)
    looks = line_styles(comparison)
    bands = len(curves) <= _BANDS and any(one.curve is not None and one.curve.low is not None for one in curves)
    with drawing():
        figure, axes = one_axes(height=2.8)
        for one in curves:
            _draw(axes, one, looks[one.technique], nothing=ticks[0], bands=bands)
        label_fractions(axes, columns, ticks, logarithmic=logarithmic)
        if reference is not None:
            axes.axhline(reference.mean, color=INK, linewidth=1, linestyle=(0, (5, 3)), label="full supervision")
            for one in curves:
                if one.answer is not None and math.isfinite(one.answer.needed) and one.answer.n > 1:
                    place = (one.answer.needed or ticks[0], reference.mean)
                    look = looks[one.technique]
                    axes.plot(*place, look.marker, markersize=9, markerfacecolor="none", color=look.colour)
        _frame(axes, metric, curves)
        axes.set_ylabel(axis_label(metric))
        legend_below(figure, axes)
        told = [one.answer.sentence for one in curves if one.answer is not None]
        title = f"Labels needed for full supervision by {metric.label} on test: {comparison.title}"
        description = " ".join(told) or "The fit of each technique rises from its fewest labels to its most."
        return finish(figure, title=title, description=description), _caption(metric, reference, bands=bands)


def _draw(axes: Axes, one: TechniqueCurve, look: LineStyle, *, nothing: float, bands: bool) -> None:
    """Seeds small, means as markers, the fit as a line; without labels a mean alone, with a dotted line to compare."""
    style = line_style(look)
    places = [count or nothing for count in one.points.labels]
    for place, cell in zip(places, one.points.scores, strict=True):
        axes.plot([place] * len(cell), list(cell.values()), ".", color=look.colour, alpha=0.45, markersize=4)
    axes.plot(places, one.points.means, **{**style, "linestyle": "none"})
    if one.curve is not None:
        axes.plot(one.curve.labels, one.curve.fit, **{**style, "marker": ""})
        if bands and one.curve.low is not None and one.curve.high is not None:
            axes.fill_between(
                one.curve.labels, one.curve.low, one.curve.high, color=look.colour, alpha=0.12, linewidth=0
            )
    elif one.points.labels[-1] == 0:
        axes.axhline(one.points.means[0], color=look.colour, linestyle=":", linewidth=0.9, zorder=0)
    axes.plot([], [], label=one.technique.label, **({**style, "linestyle": "none"} if one.curve is None else style))


def _frame(axes: Axes, metric: Metric, curves: Sequence[TechniqueCurve]) -> None:
    """Axes around the scores there are: the band of two seeds is far wider than any of them, and would flatten all."""
    scores = [score for one in curves for cell in one.points.scores for score in cell.values()]
    room = 0.25 * (max(scores) - min(scores)) or 0.05 * abs(scores[0]) or 0.05
    axes.set_ylim(max(min(scores) - room, 0.0), min(max(scores) + room, 1.02) if metric.bounded else max(scores) + room)


def _caption(metric: Metric, reference: FullSupervision | None, *, bands: bool) -> str:
    told = (
        f"How many labels: test {metric.label} by number of labelled images. Lines are monotone fits to the means over "
        "seeds, small dots are single seeds."
    )
    if bands:
        told += " Bands are 95 % of what other seeds might have given; with few seeds they leave the figure."
    if reference is not None:
        told += (
            f" The dashed line is full supervision, {reference.technique.label} with 100 % of the labels; a hollow "
            "marker is where a fit meets it."
        )
    return told
