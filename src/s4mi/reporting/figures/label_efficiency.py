"""Figure of label efficiency: monotone curve and band of each technique, and the line of full supervision."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from s4mi.reporting.figures.results import tick_positions
from s4mi.reporting.figures.style import (
    LineStyle,
    axis_label,
    label_fractions,
    legend_below,
    line_style,
    line_styles,
    one_axes,
)
from s4mi.reporting.figures.svg import INK, drawing, finish
from s4mi.reporting.results.comparison import Comparison
from s4mi.reporting.results.label_efficiency import FullSupervision, TechniqueCurve
from s4mi.reporting.results.scores import Metric
from s4mi.reporting.results.tables import label_columns

_BANDS = 4
"""Up to this number of techniques, bands are drawn: more would hide each other and the curves."""


def efficiency_figure(
    comparison: Comparison, metric: Metric, curves: Sequence[TechniqueCurve], reference: FullSupervision | None
) -> tuple[str, str]:
    """Draw the figure and write its caption; `curves` has at least one tested technique."""
    columns = label_columns(comparison)
    ticks, logarithmic = tick_positions(columns)
    looks = line_styles(comparison)
    bands = len(curves) <= _BANDS and any(one.curve is not None and one.curve.low is not None for one in curves)
    with drawing():
        figure, axes = one_axes(height=2.8)
        for one in curves:
            _draw(axes, one, looks[one.technique], at_zero=ticks[0], bands=bands)
        label_fractions(axes, columns, ticks, logarithmic=logarithmic)
        if reference is not None:
            axes.axhline(reference.mean, color=INK, linewidth=1, linestyle=(0, (5, 3)), label="full supervision")
            for one in curves:
                if one.efficiency is not None and math.isfinite(one.efficiency.needed) and one.efficiency.n > 1:
                    crossing = (one.efficiency.needed or ticks[0], reference.mean)
                    look = looks[one.technique]
                    axes.plot(*crossing, look.marker, markersize=9, markerfacecolor="none", color=look.colour)
        _frame(axes, metric, curves)
        axes.set_ylabel(axis_label(metric))
        legend_below(figure, axes)
        sentences = [one.efficiency.sentence for one in curves if one.efficiency is not None]
        title = f"Labels needed to reach full supervision by test {metric.label}: {comparison.title}"
        description = " ".join(sentences) or "Monotone fit of each technique by number of labels."
        return finish(figure, title=title, description=description), _caption(metric, reference, bands=bands)


def _draw(axes: Axes, one: TechniqueCurve, look: LineStyle, *, at_zero: float, bands: bool) -> None:
    """Seeds as dots, means as markers, the fit as a line; a technique without labels as a marker and a dotted line."""
    style = line_style(look)
    positions = [count or at_zero for count in one.points.labels]
    for x, cell in zip(positions, one.points.scores, strict=True):
        axes.plot([x] * len(cell), list(cell.values()), ".", color=look.colour, alpha=0.45, markersize=4)
    axes.plot(positions, one.points.means, **{**style, "linestyle": "none"})
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
    """Limit the axis to the measured scores: the band of two seeds is much wider and would flatten the curves."""
    scores = [score for one in curves for cell in one.points.scores for score in cell.values()]
    margin = 0.25 * (max(scores) - min(scores)) or 0.05 * abs(scores[0]) or 0.05
    axes.set_ylim(
        max(min(scores) - margin, 0.0), min(max(scores) + margin, 1.02) if metric.bounded else max(scores) + margin
    )


def _caption(metric: Metric, reference: FullSupervision | None, *, bands: bool) -> str:
    text = (
        f"Test {metric.label} by number of labelled images. Lines are monotone fits to the means over seeds; small "
        "dots are single seeds."
    )
    if bands:
        text += " Bands are 95 % confidence bands over seeds; with few seeds they extend beyond the figure."
    if reference is not None:
        text += (
            f" The dashed line is full supervision, {reference.technique.label} with 100 % of the labels; a hollow "
            "marker is where a fit reaches it."
        )
    return text
