"""Feature health of pre-training runs by epoch, as inline SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s4mi.formatting import plural
from s4mi.records import LEAST_RANK, LEAST_STD, FeatureHealth
from s4mi.reporting.figures.style import WIDTH, LineStyle, epoch_axis, legend_below, line_style, nth_style, plain_scale
from s4mi.reporting.figures.svg import INK, drawing, finish
from s4mi.reporting.results.pretraining import health_by_epoch, in_order, names_of, signal_name
from s4mi.reporting.results.runs import PretrainingRun

MARKS = 8
"""Approximate number of markers along a line; one at each of 200 epochs would hide it."""

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class HealthLine:
    """A curve with its legend entry; curves of one label, such as seeds, share a style."""

    label: str
    points: Curve


def spread_curves(runs: Sequence[PretrainingRun]) -> str | None:
    """Draw feature standard deviation and effective rank by epoch, from 0 on: a line per run and encoder."""
    stds = _lines(runs, _stds)
    ranks = _lines(runs, lambda health: {name: spread.effective_rank for name, spread in health.features.items()})
    if not stds:
        return None
    styles = _styles(runs, stds)
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _draw(above, stds, styles)
        _collapse_threshold(above, LEAST_STD)
        above.set_ylabel("feature std")
        above.set_ylim(0, 1.15 * max(value for line in stds for _, value in line.points) + 0.01)
        _draw(below, ranks, styles)
        values = [value for line in ranks for _, value in line.points]
        plain_scale(below, "y", logarithmic=min(values) > 0 and max(values) > 5 * min(values))
        _collapse_threshold(below, LEAST_RANK)
        below.set_ylabel("effective rank")
        epoch_axis(below)
        _legend_entries(below, styles)
        below.plot([], [], ":", color=INK, linewidth=1, label="collapse threshold")
        legend_below(figure, below)
        descriptions = [
            f"{std.label}: standard deviation {_first_and_last(std)}, effective rank {_first_and_last(rank)}"
            for std, rank in zip(stds, ranks, strict=True)
        ]
        title = f"Feature standard deviation and effective rank by epoch: {runs[0].record.dataset}"
        return finish(figure, title=title, description="; ".join(descriptions) + ".")


def signal_curves(runs: Sequence[PretrainingRun], name: str) -> str | None:
    """Draw a signal of the method by epoch, such as the teacher's entropy: a line per run."""
    lines = _lines(runs, lambda health: {"": health.signals[name]} if name in health.signals else {})
    return _single_panel(runs, lines, signal_name(name))


def knn_curves(runs: Sequence[PretrainingRun]) -> str | None:
    """Draw the k-NN macro F1 on validation by epoch, if it was measured: a line per run and encoder."""
    return _single_panel(runs, _lines(runs, lambda health: health.knn), "k-NN macro F1")


def _single_panel(runs: Sequence[PretrainingRun], lines: list[HealthLine], name: str) -> str | None:
    if not any(len(line.points) > 1 for line in lines):
        return None
    styles = _styles(runs, lines)
    with drawing():
        figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
        axes = figure.subplots()
        _draw(axes, lines, styles)
        axes.set_ylabel(name)
        epoch_axis(axes)
        axes.set_ylim(0, 1.02)
        _legend_entries(axes, styles)
        legend_below(figure, axes)
        descriptions = [f"{line.label}: {_first_and_last(line)}" for line in lines]
        dataset = runs[0].record.dataset
        return finish(figure, title=f"{name} by epoch: {dataset}", description="; ".join(descriptions) + ".")


def _lines(runs: Sequence[PretrainingRun], measure: Callable[[FeatureHealth], dict[str, float]]) -> list[HealthLine]:
    """A line for each run and each name that `measure` returns."""
    names, lines = names_of(runs), []
    for run in in_order(runs):
        curves: dict[str, Curve] = {}
        for epoch, health in health_by_epoch(run):
            for name, value in measure(health).items():
                curves.setdefault(name, []).append((epoch, value))
        for name, points in curves.items():
            lines.append(HealthLine(f"{names[run.directory]} · {name or run.record.backbone}", points))
    return lines


def _stds(health: FeatureHealth) -> dict[str, float]:
    return {name: spread.std for name, spread in health.features.items()}


def _styles(runs: Sequence[PretrainingRun], lines: Sequence[HealthLine]) -> dict[str, LineStyle]:
    """Style of each line by label, the same in every figure of `runs`."""
    labels = dict.fromkeys(line.label for line in [*_lines(runs, _stds), *lines])
    styles = {label: nth_style(i) for i, label in enumerate(labels)}
    return {line.label: styles[line.label] for line in lines}


def _draw(axes: Axes, lines: Sequence[HealthLine], styles: dict[str, LineStyle]) -> None:
    for line in lines:
        every = max(1, len(line.points) // MARKS)
        axes.plot(*zip(*line.points, strict=True), markevery=every, **line_style(styles[line.label]))


def _legend_entries(axes: Axes, styles: dict[str, LineStyle]) -> None:
    for label, look in styles.items():
        axes.plot([], [], label=label, **line_style(look))


def _collapse_threshold(axes: Axes, value: float) -> None:
    """Dotted line at the threshold below which features have collapsed."""
    axes.axhline(value, linestyle=":", color=INK, linewidth=1)


def _first_and_last(line: HealthLine) -> str:
    (begin, first), (end, last) = line.points[0], line.points[-1]
    return f"{first:.3g} {_epochs(begin)}, {last:.3g} {_epochs(end)}"


def _epochs(epoch: int) -> str:
    return f"after {plural(epoch, 'epoch')}" if epoch else "before training"
