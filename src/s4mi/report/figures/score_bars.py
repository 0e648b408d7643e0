"""The paper's Figure 5 for this data: the score at each label fraction as bars, techniques side by side."""

from s4mi.report.figures.style import axis_label, draw_intervals, keep_possible, legend_below, line_styles, one_axes
from s4mi.report.figures.svg import drawing, finish
from s4mi.report.results.comparison import Comparison, Technique
from s4mi.report.results.scores import Metric
from s4mi.report.results.tables import LabelColumn, MeanScore, label_columns

_ROOM = 0.8
"""Of the place of a label fraction, what its bars take together."""


def fraction_bars(comparison: Comparison, metric: Metric) -> str | None:
    """A bar a technique and label fraction, with its interval; None with fewer than two label fractions tested.

    What takes no labels stands at 0 %.
    """
    columns = [column for column in label_columns(comparison) if _tested(comparison, column, metric)]
    if len(columns) < 2:
        return None
    looks = line_styles(comparison)
    with drawing():
        figure, axes = one_axes(height=2.5)
        told = []
        for place, column in enumerate(columns):
            techniques = _tested(comparison, column, metric)
            thick = _ROOM / max(len(techniques), 2)
            for number, technique in enumerate(techniques):
                interval = comparison.interval(technique, column.fraction, metric)
                assert interval is not None
                x, look = place + thick * (number - (len(techniques) - 1) / 2), looks[technique]
                axes.bar(x, interval.mean, width=0.88 * thick, color=look.colour, alpha=0.35)
                draw_intervals(axes, [(x, interval)], look)
                told.append(f"{technique.label} at {column.title}: {MeanScore.of(interval, interval.n, metric).text}")
        for technique, look in looks.items():
            axes.plot([], [], marker=look.marker, color=look.colour, linestyle="none", label=technique.label)
        axes.set_xticks(range(len(columns)), [column.title for column in columns])
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_xlabel("labels used")
        axes.grid(visible=False, axis="x")
        axes.set_ylabel(axis_label(metric))
        axes.set_ylim(bottom=0)
        if metric.bounded:
            axes.set_ylim(0, 1)
        keep_possible(axes, metric)
        legend_below(figure, axes)
        title = f"{metric.label} on test at each label fraction: {comparison.title}"
        return finish(figure, title=title, description="; ".join(told) + ".")


def _tested(comparison: Comparison, column: LabelColumn, metric: Metric) -> list[Technique]:
    return [one for one in comparison.techniques if comparison.interval(one, column.fraction, metric) is not None]
