"""Bars of the score at each label fraction, techniques side by side, as in Figure 5 of the paper."""

from s4mi.reporting.figures.style import (
    axis_label,
    clip_to_score_range,
    draw_intervals,
    legend_below,
    line_styles,
    one_axes,
)
from s4mi.reporting.figures.svg import drawing, finish
from s4mi.reporting.results.comparison import Comparison, Technique
from s4mi.reporting.results.scores import Metric
from s4mi.reporting.results.tables import LabelColumn, MeanScore, label_columns

_GROUP_WIDTH = 0.8
"""Width of the bars of a label fraction together, as a share of its slot."""


def fraction_bars(comparison: Comparison, metric: Metric) -> str | None:
    """Draw a bar with its interval per technique and label fraction; None with fewer than two label fractions tested.

    Techniques that use no labels are at 0 %.
    """
    columns = [column for column in label_columns(comparison) if _tested(comparison, column, metric)]
    if len(columns) < 2:
        return None
    looks = line_styles(comparison)
    with drawing():
        figure, axes = one_axes(height=2.5)
        parts = []
        for slot, column in enumerate(columns):
            techniques = _tested(comparison, column, metric)
            width = _GROUP_WIDTH / max(len(techniques), 2)
            for number, technique in enumerate(techniques):
                interval = comparison.interval(technique, column.fraction, metric)
                assert interval is not None
                x, look = slot + width * (number - (len(techniques) - 1) / 2), looks[technique]
                axes.bar(x, interval.mean, width=0.88 * width, color=look.colour, alpha=0.35)
                draw_intervals(axes, [(x, interval)], look)
                parts.append(f"{technique.label} at {column.title}: {MeanScore.of(interval, interval.n, metric).text}")
        for technique, look in looks.items():
            axes.plot([], [], marker=look.marker, color=look.colour, linestyle="none", label=technique.label)
        axes.set_xticks(range(len(columns)), [column.title for column in columns])
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_xlabel("label fraction")
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(axis_label(metric))
        axes.set_ylim(bottom=0)
        if metric.bounded:
            axes.set_ylim(0, 1)
        clip_to_score_range(axes, metric)
        legend_below(figure, axes)
        title = f"Test {metric.label} at each label fraction: {comparison.title}"
        return finish(figure, title=title, description="; ".join(parts) + ".")


def _tested(comparison: Comparison, column: LabelColumn, metric: Metric) -> list[Technique]:
    return [one for one in comparison.techniques if comparison.interval(one, column.fraction, metric) is not None]
