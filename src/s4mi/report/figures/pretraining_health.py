"""How the features of pre-training runs fared from epoch to epoch, as inline SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s4mi.records import LEAST_RANK, LEAST_STD, FeatureHealth
from s4mi.report.figures.style import WIDTH, LineStyle, epoch_axis, legend_below, line_style, nth_style, plain_scale
from s4mi.report.figures.svg import INK, drawing, finish
from s4mi.report.results.pretraining import health_by_epoch, in_order, names_of, signal_name
from s4mi.report.results.runs import PretrainingRun

MARKS = 8
"""Markers along a line, about; one at each of 200 epochs would hide it."""

Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class HealthLine:
    """Runs of one label share a look, seeds in particular."""

    label: str
    points: Curve


def spread_curves(runs: Sequence[PretrainingRun]) -> str | None:
    """Feature standard deviation above, effective rank below, by epoch from 0 on: a line a run and encoder."""
    stds = _lines(runs, _stds)
    ranks = _lines(runs, lambda health: {name: spread.effective_rank for name, spread in health.features.items()})
    if not stds:
        return None
    looks = _looks(runs, stds)
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        _draw(above, stds, looks)
        _floor(above, LEAST_STD)
        above.set_ylabel("feature std")
        above.set_ylim(0, 1.15 * max(value for line in stds for _, value in line.points) + 0.01)
        _draw(below, ranks, looks)
        values = [value for line in ranks for _, value in line.points]
        plain_scale(below, "y", logarithmic=min(values) > 0 and max(values) > 5 * min(values))
        _floor(below, LEAST_RANK)
        below.set_ylabel("effective rank")
        epoch_axis(below)
        _name(below, looks)
        below.plot([], [], ":", color=INK, linewidth=1, label="collapse: below")
        legend_below(figure, below)
        told = [
            f"{std.label}: standard deviation {_ends(std)}, effective rank {_ends(rank)}"
            for std, rank in zip(stds, ranks, strict=True)
        ]
        title = f"Feature standard deviation and effective rank by epoch: {runs[0].record.dataset}"
        return finish(figure, title=title, description="; ".join(told) + ".")


def signal_curves(runs: Sequence[PretrainingRun], name: str) -> str | None:
    """One of the methods' own signals by epoch, such as the teacher's entropy: a line a run."""
    lines = _lines(runs, lambda health: {"": health.signals[name]} if name in health.signals else {})
    return _one(runs, lines, signal_name(name))


def knn_curves(runs: Sequence[PretrainingRun]) -> str | None:
    """Validation macro F1 of the nearest labelled neighbours by epoch, where it was measured: a line a run, encoder."""
    return _one(runs, _lines(runs, lambda health: health.knn), "k-NN macro F1")


def _one(runs: Sequence[PretrainingRun], lines: list[HealthLine], name: str) -> str | None:
    if not any(len(line.points) > 1 for line in lines):
        return None
    looks = _looks(runs, lines)
    with drawing():
        figure = Figure(figsize=(WIDTH, 2.2), layout="constrained")
        axes = figure.subplots()
        _draw(axes, lines, looks)
        axes.set_ylabel(name)
        epoch_axis(axes)
        axes.set_ylim(0, 1.02)
        _name(axes, looks)
        legend_below(figure, axes)
        told = [f"{line.label}: {_ends(line)}" for line in lines]
        dataset = runs[0].record.dataset
        return finish(figure, title=f"{name} by epoch: {dataset}", description="; ".join(told) + ".")


def _lines(runs: Sequence[PretrainingRun], measure: Callable[[FeatureHealth], dict[str, float]]) -> list[HealthLine]:
    """A line for each run and each name that `measure` finds in its health."""
    called, lines = names_of(runs), []
    for run in in_order(runs):
        curves: dict[str, Curve] = {}
        for epoch, health in health_by_epoch(run):
            for name, value in measure(health).items():
                curves.setdefault(name, []).append((epoch, value))
        for name, points in curves.items():
            lines.append(HealthLine(f"{called[run.directory]} · {name or run.record.backbone}", points))
    return lines


def _stds(health: FeatureHealth) -> dict[str, float]:
    return {name: spread.std for name, spread in health.features.items()}


def _looks(runs: Sequence[PretrainingRun], lines: Sequence[HealthLine]) -> dict[str, LineStyle]:
    """The look of each of `lines`, the same in every figure on `runs`."""
    labels = dict.fromkeys(line.label for line in [*_lines(runs, _stds), *lines])
    looks = {label: nth_style(i) for i, label in enumerate(labels)}
    return {line.label: looks[line.label] for line in lines}


def _draw(axes: Axes, lines: Sequence[HealthLine], looks: dict[str, LineStyle]) -> None:
    for line in lines:
        every = max(1, len(line.points) // MARKS)
        axes.plot(*zip(*line.points, strict=True), markevery=every, **line_style(looks[line.label]))


def _name(axes: Axes, looks: dict[str, LineStyle]) -> None:
    for label, look in looks.items():
        axes.plot([], [], label=label, **line_style(look))


def _floor(axes: Axes, value: float) -> None:
    """A dotted line below which features have collapsed."""
    axes.axhline(value, linestyle=":", color=INK, linewidth=1)


def _ends(line: HealthLine) -> str:
    (begin, first), (end, last) = line.points[0], line.points[-1]
    return f"{first:.3g} {_when(begin)}, {last:.3g} {_when(end)}"


def _when(epoch: int) -> str:
    return f"after {epoch} epoch{'' if epoch == 1 else 's'}" if epoch else "before training"
