"""Figures of one comparison as inline SVG: scores, learning curves, confusion matrix, classes and cost.

Every function returns an `<svg>` with a description in words, or None without data. Techniques differ by colour (Okabe
& Ito's colour-blind safe palette), marker and line, which are the same in every figure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from s4mi.formatting import plural
from s4mi.reporting.figures.direct_labels import EndLabel, label_ends
from s4mi.reporting.figures.style import (
    LINES,
    WIDTH,
    LineStyle,
    annotate_points,
    axis_label,
    draw_intervals,
    epoch_axis,
    legend_below,
    line_style,
    line_styles,
    one_axes,
    plain_scale,
    shortened,
)
from s4mi.reporting.figures.svg import BLUE, INK, drawing, finish
from s4mi.reporting.results.comparison import Comparison, Technique, interval_over, technique_of
from s4mi.reporting.results.fit_costs import training_seconds
from s4mi.reporting.results.label_names import LabelColumn
from s4mi.reporting.results.runs import ReportRun, run_key
from s4mi.reporting.results.scores import Metric, class_value, metric_of, metrics_of, percent
from s4mi.reporting.results.tables import MeanScore

NAMED_WIDTH = 5.0
"""Width in inches of a figure with names right of its lines."""


def learning_curves(comparison: Comparison, runs: Sequence[ReportRun]) -> str | None:
    """Draw training loss and the validation score that selected the epoch, one line per run, its best epoch marked.

    Only the smallest and the largest label fraction and 0 % are drawn, to keep the figure legible; runs that were
    fitted at once have no curve.
    """
    labelled = [fraction for fraction in comparison.fractions if fraction > 0] or [0.0]
    fractions = sorted({comparison.fractions[0], labelled[0], labelled[-1]})
    in_column = {run_key(record): record for record in comparison.records}
    runs = [replace(run, record=in_column[key]) for run in runs if (key := run_key(run.record)) in in_column]
    runs = [run for run in runs if run.epochs and run.record.fit is None and run.record.label_fraction in fractions]
    if not any(len(run.epochs) > 1 for run in runs):  # a single epoch is no curve
        return None
    runs.sort(key=lambda run: (technique_of(run.record), run.record.label_fraction, run.record.seed))
    looks = line_styles(comparison)
    dashes = {fraction: LINES[i % len(LINES)] for i, fraction in enumerate(reversed(fractions))}
    metric = runs[0].record.metric
    with drawing():
        figure = Figure(figsize=(NAMED_WIDTH, 3.7), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        for run in runs:
            look = looks[technique_of(run.record)]
            _draw_run(above, below, run, look, dash=dashes[run.record.label_fraction])
        lowest, highest = above.dataLim.y0, above.dataLim.y1
        plain_scale(above, "y", logarithmic=lowest > 0 and highest > 5 * lowest)
        above.set_ylabel("training loss")
        below.set_ylabel(f"validation {_label(comparison, metric)}")
        epoch_axis(below)
        if len(fractions) > 1:
            for fraction in fractions:
                label = comparison.asked(fraction) or f"{percent(fraction)} labels"
                below.plot([], [], color=INK, linestyle=dashes[fraction], linewidth=0.9, label=label)
            legend_below(figure, below)
        figure.draw_without_rendering()  # the names are placed where the lines are drawn
        label_ends(below, _last_scores(runs, metric, looks))
        title = f"Learning curves of {plural(len(runs), 'run')}: {comparison.title}"
        epochs = sorted(run.record.best_epoch for run in runs)
        description = (
            f"Training loss and validation {_label(comparison, metric)} by epoch, one line per run; "
            f"best epochs from {epochs[0]} to {epochs[-1]}."
        )
        return finish(figure, title=title, description=description)


def confusion(comparison: Comparison, technique: Technique, *, fraction: float) -> str | None:
    """Draw the confusion matrix summed over the seeds of one cell, shaded by the share of the true class."""
    tests = [r.test for r in comparison.at(technique, fraction) if r.test and r.test.kind == "classification"]
    if not tests:
        return None
    counts = np.sum([test.confusion for test in tests], axis=0)
    classes = list(comparison.records[0].classes)
    if comparison.task == "multilabel":
        counts = counts[:, [3, 2, 1, 0]]  # TP FN | FP TN: two pairs with a total each
        totals = np.repeat(counts.reshape(-1, 2, 2).sum(axis=2), 2, axis=1)
        outcomes = ["true positive", "false negative", "false positive", "true negative"]
        x_label, y_label = "outcome", "class"
    else:
        totals = counts.sum(axis=1, keepdims=True)
        outcomes, x_label, y_label = classes, "predicted", "true class"
    shares = counts / np.maximum(totals, 1)
    with drawing():
        rows, columns = counts.shape
        figure, axes = one_axes(height=0.8 + min(3.4, 0.55 * rows), width=min(WIDTH, 1.6 + 0.75 * columns))
        _heat(axes, counts, shares)
        axes.set_xticks(
            range(columns),
            [shortened(name) for name in outcomes],
            rotation=30 if columns <= 6 else 50,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks(range(rows), [shortened(name) for name in classes])
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        cell = f"{technique.label} at {comparison.amount_in_words(fraction)}, {plural(len(tests), 'seed')}"
        title = f"Confusion matrix of {cell}: {comparison.title}"
        parts = [
            f"{name}: " + ", ".join(f"{outcome} {count}" for outcome, count in zip(outcomes, row, strict=True) if count)
            for name, row in zip(classes, counts, strict=True)
        ]
        return finish(figure, title=title, description="; ".join(parts) + ".")


def per_class_bars(comparison: Comparison, *, metric: Metric | None = None) -> str | None:
    """Draw the test score per class at the largest label fraction, a bar with its interval per technique."""
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
        parts = []
        width = 0.8 / len(looks)
        for index, (technique, look) in enumerate(looks.items()):
            records = comparison.at(technique, fraction)
            for row, class_name in enumerate(classes):
                interval = interval_over(
                    records, partial(class_value, metric=metric, class_name=class_name), limits=metric.limits
                )
                if interval is None:
                    continue
                y = row + width * (index - (len(looks) - 1) / 2)
                axes.barh(y, interval.mean, height=0.9 * width, color=look.colour, alpha=0.35)
                draw_intervals(axes, [(y, interval)], look, along="x")
                parts.append(f"{class_name}, {technique.label}: {MeanScore.of(interval, interval.n, metric).text}")
        for technique, look in looks.items():
            axes.plot([], [], marker=look.marker, color=look.colour, linestyle="none", label=technique.label)
        axes.set_yticks(range(len(classes)), [shortened(name) for name in classes])
        axes.set_ylim(len(classes) - 0.5, -0.5)
        axes.set_xlim(0, 1 if metric.bounded else None)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{name} at {comparison.amount_in_words(fraction)}")
        legend_below(figure, axes)
        title = f"{name} per class on test at {comparison.amount_in_words(fraction)}: {comparison.title}"
        return finish(figure, title=title, description="; ".join(parts) + ".")


def cost_score(comparison: Comparison, *, metric: Metric | None = None) -> str | None:
    """Draw mean test score by mean training time; a point per technique and label fraction, larger for more labels.

    None with fewer than two points.
    """
    metric = metric or metric_of(comparison.task)
    with drawing():
        figure, axes = one_axes(height=max(2.4, 0.24 * len(comparison.techniques)), width=NAMED_WIDTH)
        named: list[tuple[str, tuple[float, float]]] = []
        parts, times = [], [training_seconds(record) for record in comparison.records]
        unit, seconds = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if max(times) >= 3 * s), ("s", 1))
        labels = []
        for technique, look in line_styles(comparison).items():
            points = []
            for index, fraction in enumerate(comparison.fractions):
                interval = comparison.interval(technique, fraction, metric)
                cost = interval_over(comparison.at(technique, fraction), training_seconds, limits=(0.0, math.inf))
                if interval is None or cost is None:
                    continue
                point = (cost.mean / seconds, interval.mean)
                axes.plot(*point, marker=look.marker, color=look.colour, markersize=4 + index)
                named.append((comparison.short_amount(fraction), point))
                points.append(point)
                score = f"{interval.mean:.{metric.digits}f} after {point[0]:.3g} {unit}"
                parts.append(f"{technique.label} at {comparison.amount_name(fraction)}: {score}")
            if points:
                axes.plot(*zip(*points, strict=True), **{**line_style(look), "marker": ""})
                labels.append(EndLabel(technique.label, *points[-1], look.colour, look.marker))
        if len(parts) < 2:
            return None
        plain_scale(axes, "x", logarithmic=min(times) > 0 and max(times) > 10 * min(times))
        axes.margins(0.12)
        if len(comparison.techniques) * len(comparison.fractions) <= 8:
            annotate_points(axes, named)
        axes.set_xlabel(f"training time per run ({unit})")
        axes.set_ylabel(axis_label(metric))
        figure.draw_without_rendering()  # the names are placed where the points are drawn
        label_ends(axes, labels)
        title = f"Test {metric.label} by training time: {comparison.title}"
        return finish(figure, title=title, description="; ".join(parts) + ".")


def _last_scores(runs: Sequence[ReportRun], metric: str, looks: Mapping[Technique, LineStyle]) -> list[EndLabel]:
    """The name of each technique, where its longest run ends on validation."""
    ends: dict[Technique, tuple[int, float]] = {}
    for run in runs:
        scores = [(epoch.epoch, epoch.val[metric]) for epoch in run.epochs if metric in epoch.val]
        if scores:
            technique = technique_of(run.record)
            ends[technique] = max(ends.get(technique, (0, 0.0)), scores[-1])
    return [EndLabel(one.label, *end, looks[one].colour, looks[one].marker) for one, end in ends.items()]


def _draw_run(above: Axes, below: Axes, run: ReportRun, look: LineStyle, *, dash: str) -> None:
    """Plot the loss of one run above and its validation score below, with a marker at its best epoch."""
    name = run.record.metric
    losses = [(e.epoch, e.losses.get("total", sum(e.losses.values()))) for e in run.epochs if e.losses]
    scores = [(e.epoch, e.val[name]) for e in run.epochs if name in e.val]
    for axes, points in ((above, losses), (below, scores)):
        if points:
            dot = "." if len(points) == 1 else ""  # a line through one point is invisible
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


def tick_positions(columns: Sequence[LabelColumn]) -> tuple[list[float], bool]:
    """Axis positions of the label fractions, including one for 0, and whether the axis is logarithmic."""
    images = [(column.fewest + column.most) / 2 for column in columns]
    positive = [count for count in images if count > 0]
    if not positive or positive[-1] < 4 * positive[0]:
        return images, False
    at_zero = positive[0] / min(4, (positive[-1] / positive[0]) ** 0.5)
    return [count or at_zero for count in images], True


def _heat(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """Draw squares for `counts` (R, C), bluer for larger shares, but light enough for text on top."""
    is_small = max(counts.shape) <= 6
    for (row, column), share in np.ndenumerate(shares):
        square = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(square, 1, 1, facecolor=BLUE, alpha=0.6 * float(share), linewidth=0))
        lines = [f"{counts[row, column]}", percent(round(100 * float(share)))][: 2 if is_small else 1]
        for line, text in enumerate(lines):
            y = row + 0.36 * (line - (len(lines) - 1) / 2)
            axes.text(column, y, text, ha="center", va="center", fontsize=9 if is_small else 7)
    axes.set_xlim(-0.5, counts.shape[1] - 0.5)
    axes.set_ylim(counts.shape[0] - 0.5, -0.5)
    axes.grid(visible=False)


def _label(comparison: Comparison, name: str) -> str:
    return next((metric.label for metric in metrics_of(comparison.task) if metric.name == name), name)
