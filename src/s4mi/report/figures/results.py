"""Figures of one comparison as inline SVG: what labels buy, what they cost, and where the mistakes are.

Every function gives an `<svg>` that says in words what it shows, or None where there is nothing to show. Techniques
differ by colour (Okabe & Ito's palette, distinct to the colour-blind) and by marker and line, and keep both from figure
to figure.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from s4mi.report.figures.style import (
    LINES,
    WIDTH,
    LineStyle,
    axis_label,
    draw_intervals,
    epoch_axis,
    keep_possible,
    label_fractions,
    legend_below,
    line_style,
    line_styles,
    name_points,
    one_axes,
    plain_scale,
    shortened,
)
from s4mi.report.figures.svg import BLUE, INK, drawing, finish
from s4mi.report.results.comparison import Comparison, Technique, interval_over, technique_of
from s4mi.report.results.runs import ReportRun
from s4mi.report.results.scores import Metric, class_value, metric_of, metrics_of, percent, score_of
from s4mi.report.results.tables import MAJORITY, LabelColumn, MeanScore, label_columns


def score_by_fraction(comparison: Comparison, *, metric: Metric | None = None) -> str | None:
    """Test score by number of labelled images: mean, interval and each seed of every technique."""
    metric = metric or metric_of(comparison.task)
    with drawing():
        figure, axes = one_axes(height=2.5)
        columns = label_columns(comparison)
        ticks, logarithmic = places_of(columns)
        told = []
        for place, (technique, look) in enumerate(line_styles(comparison).items()):
            # Neighbours step aside so that no bar hides another.
            step = min(0.03, 0.12 / len(comparison.techniques)) * (place - (len(comparison.techniques) - 1) / 2)
            points = []
            for column, tick in zip(columns, ticks, strict=True):
                interval = comparison.interval(technique, column.fraction, metric)
                if interval is None:
                    continue
                x = tick * 10**step if logarithmic else tick + step * (ticks[-1] - ticks[0] or 1)
                points.append((x, interval))
                seeds = [score_of(record, metric) for record in comparison.at(technique, column.fraction)]
                known = [score for score in seeds if score is not None]
                axes.plot([x] * len(known), known, ".", color=look.colour, alpha=0.45, markersize=4)
                told.append(f"{technique.label} at {column.title}: {MeanScore.of(interval, interval.n, metric).text}")
            draw_intervals(axes, points, look, label=technique.label)
            if points and all(column.most == 0 for column in columns if comparison.at(technique, column.fraction)):
                axes.axhline(points[0][1].mean, color=look.colour, linestyle=":", linewidth=0.9, zorder=0)
        if not told:
            return None
        label_fractions(axes, columns, ticks, logarithmic=logarithmic)
        if len(columns) == 1:  # the points stand beside each other in the middle, not at the ends of the axis
            axes.margins(x=0.8)
        axes.set_ylabel(axis_label(metric))
        _majority(axes, comparison, ticks, metric)
        keep_possible(axes, metric)
        legend_below(figure, axes)
        title = f"{metric.label} on test by number of labelled images: {comparison.title}"
        return finish(figure, title=title, description="; ".join(told) + ".")


def learning_curves(comparison: Comparison, runs: Sequence[ReportRun]) -> str | None:
    """Training loss and the validation score that chose the epoch, one thin line per run, its best epoch marked.

    Of many label fractions the smallest and the largest are drawn, and what takes no labels; all would be a tangle.
    """
    some = [fraction for fraction in comparison.fractions if fraction > 0] or [0.0]
    fractions = sorted({comparison.fractions[0], some[0], some[-1]})
    runs = [run for run in runs if run.epochs and run.record in comparison.records]
    runs = [run for run in runs if run.record.label_fraction in fractions]
    if not runs:
        return None
    runs.sort(key=lambda run: (technique_of(run.record), run.record.label_fraction, run.record.seed))
    looks = line_styles(comparison)
    dashes = {fraction: LINES[i % len(LINES)] for i, fraction in enumerate(reversed(fractions))}
    metric = runs[0].record.metric
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for run in runs:
            look = looks[technique_of(run.record)]
            _draw_run(above, below, run, look, dash=dashes[run.record.label_fraction])
        lowest, highest = above.dataLim.y0, above.dataLim.y1
        plain_scale(above, "y", logarithmic=lowest > 0 and highest > 5 * lowest)
        above.set_ylabel("training loss")
        below.set_ylabel(f"validation {_label(comparison, metric)}")
        epoch_axis(below)
        for technique, look in looks.items():
            below.plot([], [], marker=look.marker, color=look.colour, markersize=5, label=technique.label)
        for fraction in fractions if len(fractions) > 1 else ():
            below.plot(
                [], [], color=INK, linestyle=dashes[fraction], linewidth=0.9, label=f"{percent(fraction)} labels"
            )
        legend_below(figure, below)
        title = f"Learning curves of {len(runs)} runs: {comparison.title}"
        epochs = sorted(run.record.best_epoch for run in runs)
        description = (
            f"Training loss and validation {_label(comparison, metric)} by epoch, one line per run; "
            f"best epochs from {epochs[0]} to {epochs[-1]}."
        )
        return finish(figure, title=title, description=description)


def confusion(comparison: Comparison, technique: Technique, *, fraction: float) -> str | None:
    """Counts over all seeds of one cell, shaded by the share of their row: what was shown, what was answered."""
    tests = [r.test for r in comparison.at(technique, fraction) if r.test and r.test.kind == "classification"]
    if not tests:
        return None
    counts = np.sum([test.confusion for test in tests], axis=0)
    classes = list(comparison.records[0].classes)
    if comparison.task == "multilabel":
        counts = counts[:, [3, 2, 1, 0]]  # TP FN | FP TN: two pairs, each with its own whole
        whole = np.repeat(counts.reshape(-1, 2, 2).sum(axis=2), 2, axis=1)
        answers, shown = ["found", "missed", "false alarm", "rightly not"], "class"
    else:
        whole = counts.sum(axis=1, keepdims=True)
        answers, shown = classes, "truth"
    shares = counts / np.maximum(whole, 1)
    with drawing():
        rows, columns = counts.shape
        figure, axes = one_axes(height=0.8 + min(3.4, 0.55 * rows), width=min(WIDTH, 1.6 + 0.75 * columns))
        _heat(axes, counts, shares)
        axes.set_xticks(
            range(columns),
            [shortened(name) for name in answers],
            rotation=30 if columns <= 6 else 50,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks(range(rows), [shortened(name) for name in classes])
        axes.set_xlabel("answer")
        axes.set_ylabel(shown)
        seeds = f"{len(tests)} seed{'' if len(tests) == 1 else 's'}"
        title = f"Confusion matrix of {technique.label} at {percent(fraction)} labels, {seeds}: {comparison.title}"
        told = [
            f"{name}: " + ", ".join(f"{answer} {count}" for answer, count in zip(answers, row, strict=True) if count)
            for name, row in zip(classes, counts, strict=True)
        ]
        return finish(figure, title=title, description="; ".join(told) + ".")


def per_class_bars(comparison: Comparison, *, metric: Metric | None = None) -> str | None:
    """Test score of each of several classes at the largest label fraction, a bar and its interval per technique."""
    metric, fraction = metric or metric_of(comparison.task), comparison.fractions[-1]
    name = metric.per_class.upper() if metric.per_class == "f1" else metric.label.removeprefix("macro ")
    names = comparison.records[0].classes
    at_fraction = [record for record in comparison.records if record.label_fraction == fraction]
    classes = [c for c in names if any(class_value(r, metric, class_name=c) is not None for r in at_fraction)]
    if len(classes) < 2:
        return None
    looks = line_styles(comparison)
    with drawing():
        figure, axes = one_axes(height=0.6 + min(5.0, len(classes) * (0.16 + 0.14 * len(looks))))
        told = []
        thick = 0.8 / len(looks)
        for place, (technique, look) in enumerate(looks.items()):
            records = comparison.at(technique, fraction)
            for row, class_name in enumerate(classes):
                interval = interval_over(records, partial(class_value, metric=metric, class_name=class_name))
                if interval is None:
                    continue
                y = row + thick * (place - (len(looks) - 1) / 2)
                axes.barh(y, interval.mean, height=0.9 * thick, color=look.colour, alpha=0.35)
                draw_intervals(axes, [(y, interval)], look, along="x")
                told.append(f"{class_name}, {technique.label}: {MeanScore.of(interval, interval.n, metric).text}")
        for technique, look in looks.items():
            axes.plot([], [], marker=look.marker, color=look.colour, linestyle="none", label=technique.label)
        axes.set_yticks(range(len(classes)), [shortened(name) for name in classes])
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.set_xlim(0, 1 if metric.bounded else None)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{name} at {percent(fraction)} labels")
        legend_below(figure, axes)
        title = f"{name} of each class on test at {percent(fraction)} labels: {comparison.title}"
        return finish(figure, title=title, description="; ".join(told) + ".")


def cost_score(comparison: Comparison, *, metric: Metric | None = None) -> str | None:
    """Mean test score by mean training time; a point per technique and label fraction, the larger the more labels."""
    metric = metric or metric_of(comparison.task)
    with drawing():
        figure, axes = one_axes(height=2.4)
        named: list[tuple[str, tuple[float, float]]] = []
        told, times = [], [record.cost.seconds for record in comparison.records]
        unit, seconds = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if max(times) >= 3 * s), ("s", 1))
        for technique, look in line_styles(comparison).items():
            points = []
            for place, fraction in enumerate(comparison.fractions):
                interval = comparison.interval(technique, fraction, metric)
                cost = interval_over(comparison.at(technique, fraction), lambda record: record.cost.seconds)
                if interval is None or cost is None:
                    continue
                point = (cost.mean / seconds, interval.mean)
                axes.plot(*point, marker=look.marker, color=look.colour, markersize=4 + place)
                named.append((percent(fraction), point))
                points.append(point)
                score = f"{interval.mean:.{metric.digits}f} after {point[0]:.3g} {unit}"
                told.append(f"{technique.label} at {percent(fraction)}: {score}")
            if points:
                style = line_style(look)
                axes.plot(*zip(*points, strict=True), **{**style, "marker": ""})
                axes.plot([], [], label=technique.label, **style)
        if not told:
            return None
        plain_scale(axes, "x", logarithmic=min(times) > 0 and max(times) > 10 * min(times))
        axes.margins(0.12)
        if len(comparison.techniques) * len(comparison.fractions) <= 8:
            name_points(axes, named)
        axes.set_xlabel(f"training time of one run ({unit})")
        axes.set_ylabel(axis_label(metric))
        legend_below(figure, axes)
        title = f"{metric.label} on test by training time: {comparison.title}"
        return finish(figure, title=title, description="; ".join(told) + ".")


def _draw_run(above: Axes, below: Axes, run: ReportRun, look: LineStyle, *, dash: str) -> None:
    """Loss of one run above, its validation score below, with the marker of its technique at its best epoch."""
    name = run.record.metric
    losses = [(e.epoch, e.losses.get("total", sum(e.losses.values()))) for e in run.epochs if e.losses]
    scores = [(e.epoch, e.val[name]) for e in run.epochs if name in e.val]
    for axes, points in ((above, losses), (below, scores)):
        if points:
            dot = "." if len(points) == 1 else ""  # a line through one point shows nothing
            line: dict[str, Any] = {
                "color": look.colour,
                "linestyle": dash,
                "marker": dot,
                "linewidth": 0.9,
                "alpha": 0.9,
            }
            axes.plot(*zip(*points, strict=True), **line)
    best = [point for point in scores if point[0] == run.record.best_epoch]
    if best:
        below.plot(*best[0], marker=look.marker, color=look.colour, markersize=5)


def places_of(columns: Sequence[LabelColumn]) -> tuple[list[float], bool]:
    """Where the label fractions stand on their axis, and whether that is logarithmic, with a place of its own for 0."""
    images = [(column.fewest + column.most) / 2 for column in columns]
    some = [count for count in images if count > 0]
    if not some or some[-1] < 4 * some[0]:
        return images, False
    nothing = some[0] / min(4, (some[-1] / some[0]) ** 0.5)
    return [count or nothing for count in images], True


def _heat(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """Squares for `counts` (R, C), the bluer the larger their share; never so blue that ink is lost on it."""
    roomy = max(counts.shape) <= 6
    for (row, column), share in np.ndenumerate(shares):
        square = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(square, 1, 1, facecolor=BLUE, alpha=0.6 * float(share), linewidth=0))
        lines = [f"{counts[row, column]}", percent(round(100 * float(share)))][: 2 if roomy else 1]
        for line, text in enumerate(lines):
            y = row + 0.36 * (line - (len(lines) - 1) / 2)
            axes.text(column, y, text, ha="center", va="center", fontsize=9 if roomy else 7)
    axes.set_xlim(-0.5, counts.shape[1] - 0.5)
    axes.set_ylim(counts.shape[0] - 0.5, -0.5)
    axes.grid(visible=False)


def _majority(axes: Axes, comparison: Comparison, ticks: Sequence[float], metric: Metric) -> None:
    """A dotted line at what always giving the most frequent answer scores, where that is known."""
    known = [
        (tick, i.mean)
        for tick, f in zip(ticks, comparison.fractions, strict=True)
        if (i := comparison.majority(f, metric))
    ]
    if known:
        axes.plot(*zip(*known, strict=True), ":", color=INK, linewidth=1, marker="_", label=MAJORITY)


def _label(comparison: Comparison, name: str) -> str:
    return next((metric.label for metric in metrics_of(comparison.task) if metric.name == name), name)
