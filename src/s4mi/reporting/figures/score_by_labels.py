"""The one figure of a comparison: score by number of labels, every technique named at the end of its line.

With a single number of labels there is no curve: the techniques stand below each other, each with its interval. A
single point is no figure, and `missing` says what would make one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from s4mi.maths.stats import Interval
from s4mi.reporting.figures.direct_labels import EndLabel, label_ends
from s4mi.reporting.figures.results import tick_positions
from s4mi.reporting.figures.style import (
    LineStyle,
    axis_label,
    draw_intervals,
    fraction_axis,
    label_fractions,
    line_styles,
    one_axes,
)
from s4mi.reporting.figures.svg import INK, drawing, finish
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.scores import Metric, baseline_name, score_of
from s4mi.reporting.results.tables import MeanScore, ResultTable, label_columns
from s4mi.reporting.results.without_network import has_network

WIDTH, HEIGHT = 4.5, 2.6
NAMED = 7
"""Techniques with a colour and a name; of more, the best without a network and those with the best means have one."""
GREY = "#868e96"


@dataclass(frozen=True)
class _Line:
    """The tested points of a technique, fewest labels first."""

    technique: Technique
    points: tuple[tuple[LabelColumn, Interval], ...]


def score_by_labels(comparison: Comparison, table: ResultTable) -> str | None:
    """Draw the figure of a comparison and its result table; None where it has fewer than two tested points."""
    lines, metric = _lines(table), table.metric
    if sum(len(line.points) for line in lines) < 2:
        return None
    tested = {column for line in lines for column, _ in line.points}
    return _curves(comparison, metric, lines) if len(tested) > 1 else _dots(comparison, metric, lines)


def missing(table: ResultTable) -> str:
    """What a comparison needs to have a figure; empty where it has one."""
    points = sum(len(line.points) for line in _lines(table))
    if points > 1:
        return ""
    if not points:
        return "No figure: no run has a test score yet."
    only = next(line.points[0][0].title for line in _lines(table))
    return (
        f"No figure: one technique at one amount of labels ({only}) is a single point. More label_fractions give a "
        "curve, another technique a comparison."
    )


def caption(table: ResultTable) -> str:
    """The caption of the figure."""
    lines, metric = _lines(table), table.metric
    tested = {column.fraction for line in lines for column, _ in line.points}
    seeds = {interval.n for line in lines for _, interval in line.points}
    points = f"means with 95 % intervals over {table.over}; small dots are seeds"
    if max(seeds, default=1) == 1:
        points = "scores of one seed"
    lower = "" if metric.higher_is_better else " Lower is better."
    if len(tested) == 1:
        return f"Test {metric.label}: {points}.{lower}"
    zero = " At 0 no training label was used." if 0 in tested else ""
    return f"Test {metric.label} by number of labelled images: {points}.{zero}{lower}"


def _lines(table: ResultTable) -> list[_Line]:
    """The tested points of each technique, in the order of colours."""
    found = []
    for row in sorted(table.rows, key=lambda row: row.technique):
        points = [(c, cell.interval) for c, cell in zip(table.columns, row.cells, strict=True) if cell.interval]
        if points:
            found.append(_Line(row.technique, tuple(points)))
    return found


def _named(comparison: Comparison, lines: Sequence[_Line], metric: Metric) -> set[Technique]:
    """The techniques that have a name: all, or the best without a network and those with the best means by column."""
    if len(lines) <= NAMED:
        return {line.technique for line in lines}
    sign = 1 if metric.higher_is_better else -1
    by_column: dict[LabelColumn, list[tuple[float, Technique]]] = {}
    for line in lines:
        for column, interval in line.points:
            by_column.setdefault(column, []).append((sign * interval.mean, line.technique))
    ranked = [sorted(entries, key=lambda entry: -entry[0]) for entries in by_column.values()]
    baselines = [one for entries in ranked for _, one in entries if not has_network(comparison, one)]
    named = baselines[:1]
    for place in range(len(lines)):
        for entries in ranked:
            if place < len(entries) and entries[place][1] not in named and len(named) < NAMED - 1:
                named.append(entries[place][1])
    return set(named)


def _curves(comparison: Comparison, metric: Metric, lines: Sequence[_Line]) -> str:
    columns = label_columns(comparison)
    ticks, logarithmic = tick_positions(columns)
    position = dict(zip(columns, ticks, strict=True))
    looks, named = line_styles(comparison), _named(comparison, lines, metric)
    with drawing():
        figure, axes = one_axes(height=HEIGHT, width=WIDTH)
        labels = []
        for index, line in enumerate(lines):
            look = looks[line.technique] if line.technique in named else LineStyle(GREY, "", "-")
            shift = min(0.03, 0.12 / len(lines)) * (index - (len(lines) - 1) / 2)
            points = [
                (position[c] * 10**shift if logarithmic else position[c] + shift * (ticks[-1] - ticks[0] or 1), i)
                for c, i in line.points
            ]
            if line.technique in named:
                for (x, _), (column, _) in zip(points, line.points, strict=True):
                    _seeds(axes, comparison, line.technique, column, metric, x=x, colour=look.colour)
            draw_intervals(axes, points if line.technique in named else [(x, _bare(i)) for x, i in points], look)
            if line.technique in named:
                x, last = points[-1]
                labels.append(EndLabel(line.technique.label, x, last.mean, look.colour, look.marker))
        if len(named) < len(lines):
            rest = [line.points[-1] for line in lines if line.technique not in named]
            column, lowest = min(rest, key=lambda point: point[1].mean)
            labels.append(EndLabel(f"{len(rest)} others", position[column], lowest.mean, GREY))
        if (baseline := _baseline(comparison, columns, metric)) is not None:
            axes.plot([position[c] for c, _ in baseline], [score for _, score in baseline], ":", color=INK, linewidth=1)
            labels.append(EndLabel(baseline_name(comparison.task), position[baseline[-1][0]], baseline[-1][1], INK))
        fraction_axis(axes, ticks, logarithmic=logarithmic)
        axes.set_ylabel(axis_label(metric))
        _limit(axes, metric, [i for line in lines for _, i in line.points], baseline or ())
        figure.draw_without_rendering()  # the names are placed where the lines are drawn
        label_ends(axes, labels)
        figure.draw_without_rendering()  # names at the ends leave less width
        label_fractions(axes, columns, ticks)
        title = f"Test {metric.label} by number of labelled images: {comparison.title}"
        return finish(figure, title=title, description=_description(lines, metric))


def _dots(comparison: Comparison, metric: Metric, lines: Sequence[_Line]) -> str:
    """Techniques below each other, best first, where only one number of labels was tested."""
    looks = line_styles(comparison)
    sign = -1 if metric.higher_is_better else 1
    ordered = sorted(lines, key=lambda line: sign * line.points[0][1].mean)
    with drawing():
        figure, axes = one_axes(height=0.75 + 0.26 * len(ordered), width=WIDTH)
        for row, line in enumerate(ordered):
            column, interval = line.points[0]
            look = looks[line.technique]
            _seeds(axes, comparison, line.technique, column, metric, y=row, colour=look.colour)
            draw_intervals(axes, [(row, interval)], look, along="x")
        axes.set_yticks(range(len(ordered)), [_shortened(line.technique.label) for line in ordered])
        axes.set_ylim(len(ordered) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        column = ordered[0].points[0][0]
        axes.set_xlabel(f"{axis_label(metric)} with {column.labelled} labelled images")
        intervals = [line.points[0][1] for line in ordered]
        _limit(axes, metric, intervals, (), along="x")
        title = f"Test {metric.label} with {column.labelled} labelled images: {comparison.title}"
        return finish(figure, title=title, description=_description(ordered, metric))


def _seeds(
    axes: Axes, comparison: Comparison, technique: Technique, column: LabelColumn, metric: Metric, *, colour: str,
    x: float | None = None, y: float | None = None,
) -> None:  # fmt: skip
    """Single seeds as small dots, above `x` or right of `y`; a lone one is its mean."""
    scores = [score_of(record, metric) for record in comparison.at(technique, column.fraction)]
    known = [score for score in scores if score is not None]
    if len(known) > 1:
        at = [x if y is None else y] * len(known)
        axes.plot(*((at, known) if y is None else (known, at)), ".", color=colour, alpha=0.45, markersize=4)


def _bare(interval: Interval) -> Interval:
    """The mean alone: intervals of lines in the background would hide those in front."""
    return Interval(interval.mean, None, None, interval.n)


def _baseline(
    comparison: Comparison, columns: Sequence[LabelColumn], metric: Metric
) -> list[tuple[LabelColumn, float]] | None:
    known = [(c, i.mean) for c in columns if (i := comparison.baseline(c.fraction, metric)) is not None]
    return known if len(known) > 1 else None


def _limit(
    axes: Axes, metric: Metric, intervals: Sequence[Interval], others: Sequence[tuple[LabelColumn, float]],
    along: str = "y",
) -> None:  # fmt: skip
    """Limit the axis to means and moderate intervals: that of two seeds is much wider and would flatten the curves."""
    means = [interval.mean for interval in intervals] + [score for _, score in others]
    spread = max(max(means) - min(means), 0.1 if metric.bounded else 0.1 * max(map(abs, means)))
    ends = [end for i in intervals for end in (i.low, i.high) if end is not None]
    low = max(min([*means, *ends]), min(means) - 0.5 * spread)
    high = min(max([*means, *ends]), max(means) + 0.5 * spread)
    low, high = max(low - 0.05 * spread, 0.0), high + 0.05 * spread
    high = min(high, 1.02) if metric.bounded else high
    (axes.set_ylim if along == "y" else axes.set_xlim)(low, high)


def _description(lines: Sequence[_Line], metric: Metric) -> str:
    parts = [
        f"{line.technique.label} with {column.labelled}: {MeanScore.of(interval, interval.n, metric).text}"
        for line in lines
        for column, interval in line.points
    ]
    return "; ".join(parts) + "."


def _shortened(name: str) -> str:
    return name if len(name) <= 34 else f"{name[:33]}…"
