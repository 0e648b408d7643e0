"""Style of all figures: size, palette, axes and legend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from s4mi.maths.stats import Interval
from s4mi.reporting.figures.svg import BLUE, INK
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.scores import Metric

WIDTH = 4.4  # inches: on a phone the text shrinks by no more than a fifth
# Okabe & Ito, first those with contrast to white and to black; black is the text colour of the page, yellow is omitted.
COLOURS = (BLUE, "#D55E00", "#009E73", "#CC79A7", INK, "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES = ("-", "--", "-.", ":")
_BEYOND = 1e6
"""Length of a bar without an upper end, which leaves the figure."""
LETTER = 6.5
"""Width of a letter or digit of a tick label, in points, with its share of the gap to the next label."""


@dataclass(frozen=True)
class LineStyle:
    """Colour, marker and dash pattern of a line."""

    colour: str
    marker: str
    line: str


def one_axes(*, height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Create a figure with one axes; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def line_styles(comparison: Comparison) -> dict[Technique, LineStyle]:
    """Style of each technique, the same in every figure of a comparison."""
    return {technique: nth_style(i) for i, technique in enumerate(comparison.techniques)}


def nth_style(i: int) -> LineStyle:
    """Style of the `i`-th line, from 0; after the end of the palette colours repeat with other markers."""
    return LineStyle(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], LINES[i % len(LINES)])


def line_style(look: LineStyle) -> dict[str, Any]:
    """Convert a style to keyword arguments of matplotlib's `plot` and `errorbar`."""
    return {
        "color": look.colour,
        "marker": look.marker,
        "linestyle": look.line,
        "linewidth": 1.4,
        "markersize": 5,
    }


def draw_intervals(
    axes: Axes,
    points: Sequence[tuple[float, Interval]],
    look: LineStyle,
    *,
    label: str | None = None,
    along: Literal["x", "y"] = "y",
) -> None:
    """Plot means at their positions with error bars along one axis; without an interval no bar is drawn."""
    if not points:
        return
    positions = [position for position, _ in points]
    means = [interval.mean for _, interval in points]
    halves = [
        [math.nan if interval.low is None else interval.mean - interval.low for _, interval in points],
        [math.nan if interval.high is None else min(interval.high - interval.mean, _BEYOND) for _, interval in points],
    ]
    style = {"capsize": 3, "elinewidth": 1, "label": label, **line_style(look)}
    if along == "y":
        axes.errorbar(positions, means, yerr=halves, **style)
    else:
        axes.errorbar(means, positions, xerr=halves, **style)


def fraction_axis(axes: Axes, ticks: Sequence[float], *, logarithmic: bool) -> None:
    """Prepare the axis of amounts of labels, with the room for what `label_fractions` writes."""
    if logarithmic:
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(ticks, ["%"] * len(ticks))
    axes.set_xlabel("labelled images", labelpad=13)
    axes.autoscale_view()


def label_fractions(axes: Axes, columns: Sequence[LabelColumn], ticks: Sequence[float]) -> None:
    """Label ticks with the percentage of labels and, below it, the number of images, none over another.

    The axes must have their final width, so `Figure.draw_without_rendering` comes before.
    """
    per_point = axes.figure.dpi / 72
    places = [axes.transData.transform((tick, 0))[0] / per_point for tick in ticks]
    widths = [LETTER * max(len(column.short), len(column.labelled)) for column in columns]
    rising = sorted(range(len(places)), key=places.__getitem__)  # 0 % may have read more labels than 10 %
    written = [rising[n] for n in without_overlap([places[n] for n in rising], [widths[n] for n in rising])]
    axes.set_xticks(ticks, [column.short if n in written else "" for n, column in enumerate(columns)])
    offset: dict[str, Any] = {"xytext": (0, -26), "textcoords": "offset points", "annotation_clip": False}
    for n in written:  # an SVG centres one line at a time, not two
        column, tick = columns[n], ticks[n]
        axes.annotate(column.labelled, (tick, 0), xycoords=axes.get_xaxis_transform(), ha="center", **offset)


def without_overlap(places: Sequence[float], widths: Sequence[float]) -> list[int]:
    """Which of the labels centred at ascending places are written: the first, the last, and all that fit between."""
    kept: list[int] = []
    last = len(places) - 1
    for n, (place, width) in enumerate(zip(places, widths, strict=True)):
        after_kept = not kept or place - width / 2 >= places[kept[-1]] + widths[kept[-1]] / 2
        before_last = place + width / 2 <= places[last] - widths[last] / 2
        if n in (0, last) or (after_kept and before_last):
            kept.append(n)
    return kept


def plain_scale(axes: Axes, which: Literal["x", "y"], *, logarithmic: bool) -> None:
    """Print plain numbers along an axis; a logarithmic one has ticks at 1, 2, 5, 10, or at powers of 10."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    if logarithmic:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        low, high = axis.get_data_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def epoch_axis(axes: Axes) -> None:
    """Print integer epochs along the horizontal axis, also with a single epoch."""
    first, last = axes.xaxis.get_data_interval()
    if first == last:
        axes.set_xlim(first - 1, last + 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")


def axis_label(metric: Metric) -> str:
    """Label of an axis of scores."""
    return metric.label if metric.higher_is_better else f"{metric.label}, lower is better"


def clip_to_score_range(axes: Axes, metric: Metric) -> None:
    """Limit the vertical axis to the range of the score, however wide the intervals are."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 1.02) if metric.bounded else high)


def annotate_points(axes: Axes, points: Sequence[tuple[str, tuple[float, float]]]) -> None:
    """Write small labels to the upper left of points; skip labels that would overlap an earlier one."""
    axes.autoscale_view()
    occupied: list[tuple[float, float]] = []
    for name, point in points:
        x, y = axes.transData.transform(point)
        if all(abs(x - other) > 34 or abs(y - above) > 12 for other, above in occupied):
            axes.annotate(name, point, (-4, 5), textcoords="offset points", fontsize=8, ha="right")
            occupied.append((x, y))


def legend_below(figure: Figure, axes: Axes) -> None:
    """Place the legend below the axes, in two columns if names are short; the figure grows, the axes do not shrink."""
    entries = list(zip(*axes.get_legend_handles_labels(), strict=True))
    columns = 2 if max(len(label) for _, label in entries) <= 24 else 1
    figure.set_figheight(figure.get_figheight() + 0.18 * math.ceil(len(entries) / columns))
    figure.legend(*zip(*entries, strict=True), loc="outside lower left", ncols=columns)


def shortened(name: str) -> str:
    """Shorten a class name for a tick label."""
    return name if len(name) <= 22 else f"{name[:21]}…"
