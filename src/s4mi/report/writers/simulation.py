"""The files of a simulation of annotation rounds: table, figure and sentences; and the table read back."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from s4mi.errors import S4miError
from s4mi.maths.stats import Interval
from s4mi.records import write_text_atomically
from s4mi.report.figures.style import axis_label, draw_intervals, keep_possible, legend_below, nth_style, one_axes
from s4mi.report.figures.svg import drawing, finish, standalone
from s4mi.report.results.scores import Metric, plus_minus
from s4mi.report.results.simulation import RoundScore, SimulationCurve, curves_of

NAME = "simulation"
NUDGE = 0.012
"""Of the axis, by which the curves stand beside each other, so that their intervals can be told apart."""


def write_simulation(
    results: Sequence[RoundScore], metric: Metric, out: Path, *, reference: str
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write `simulation.csv`, `.svg`, `.png` and `.md` into `out`; the files, and what they say in lines."""
    curves = curves_of(results, reference=reference)
    lines = tuple(_sentence(curve, metric, reference) for curve in curves if curve.strategy != reference)
    table, picture, bitmap, page = (out / f"{NAME}.{ending}" for ending in ("csv", "svg", "png", "md"))
    write_text_atomically(table, _csv(results, metric))
    with drawing():
        figure = _figure(curves, metric)
        seeds = len({one.seed for one in results})
        title = f"{metric.label} on test by rounds of annotation, {_seeds(seeds)}"
        svg = finish(figure, title=title, description=" ".join(lines) or _told(curves, metric))
        figure.savefig(bitmap, dpi=160, facecolor="white")
    write_text_atomically(picture, standalone(svg))
    write_text_atomically(page, _markdown(curves, metric, lines, seeds=seeds, reference=reference))
    return (table, picture, bitmap, page), lines


def read_simulation(out: Path, metric: Metric) -> list[RoundScore]:
    """What `write_simulation` put into `simulation.csv`, to six digits; nothing where it has not written yet.

    Raises:
        S4miError: the table is of another metric, or is none.
    """
    path = out / f"{NAME}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [
                RoundScore(
                    row["strategy"], int(row["seed"]), int(row["round"]), int(row["labels"]), float(row[metric.name])
                )
                for row in csv.DictReader(file)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise S4miError(
                f"{path}: is no table of a simulation by {metric.label}; remove it, the runs stay"
            ) from error


def _figure(curves: Sequence[SimulationCurve], metric: Metric) -> Figure:
    figure, axes = one_axes(height=2.8)
    labels = [count for curve in curves for count in curve.labels]
    step = NUDGE * (max(labels) - min(labels))
    for i, curve in enumerate(curves):
        aside = step * (i - (len(curves) - 1) / 2)
        points = [(count + aside, score) for count, score in zip(curve.labels, curve.scores, strict=True)]
        draw_intervals(axes, points, nth_style(i), label=curve.strategy)
    axes.set_xticks(sorted(set(labels)))
    axes.set_xlabel("labelled training images")
    axes.set_ylabel(axis_label(metric))
    keep_possible(axes, metric)
    legend_below(figure, axes)
    return figure


def _csv(results: Sequence[RoundScore], metric: Metric) -> str:
    table = io.StringIO(newline="")
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["strategy", "seed", "round", "labels", metric.name])
    for one in sorted(results, key=lambda one: (one.strategy, one.seed, one.round)):
        rows.writerow([one.strategy, one.seed, one.round, one.labels, f"{one.score:.6f}"])
    return table.getvalue()


def _markdown(
    curves: Sequence[SimulationCurve], metric: Metric, lines: Sequence[str], *, seeds: int, reference: str
) -> str:
    widest = max(curves, key=lambda curve: len(curve.labels))
    head = ["strategy", *(f"{count} labels" for count in widest.labels)]
    made = [
        f"# {metric.label} on test by rounds of annotation",
        "",
        f"Mean over {_seeds(seeds)} with its 95 % interval. Same start, same number of labels, same settings.",
        "",
        *(f"- {line}" for line in lines),
        "",
        *_rows([head, *([curve.strategy, *(_short(one, metric) for one in curve.scores)] for curve in curves)]),
    ]
    apart = [curve for curve in curves if curve.strategy != reference and any(curve.differences)]
    if apart:
        made += ["", f"Difference to {reference}, seed by seed:", ""]
        rows = [[curve.strategy, *(_short(one, metric, signed=True) for one in curve.differences)] for curve in apart]
        made += _rows([head, *rows])
    return "\n".join([*made, "", f"![{metric.label} by labels]({NAME}.svg)", ""])


def _rows(cells: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, whose first row is its head; short rows are filled up."""
    width = len(cells[0])
    lines = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in cells]
    return [lines[0], "|" + "---|" * width, *lines[1:]]


def _sentence(curve: SimulationCurve, metric: Metric, reference: str) -> str:
    gain = curve.gain
    if gain is None:
        return f"{curve.strategy}: not yet played as far as {reference}."
    said = _short(gain, metric, signed=True)
    if gain.low is None or gain.high is None:
        return f"{curve.strategy}: {said} against {reference}, mean over the rounds; one seed says nothing of chance."
    better = gain.low > 0 if metric.higher_is_better else gain.high < 0
    worse = gain.high < 0 if metric.higher_is_better else gain.low > 0
    verdict = "better" if better else "worse" if worse else "no difference that can be told from chance"
    return f"{curve.strategy}: {said} against {reference}, mean over the rounds, {_seeds(gain.n)}: {verdict}."


def _told(curves: Sequence[SimulationCurve], metric: Metric) -> str:
    return "; ".join(f"{c.strategy} {_short(c.scores[-1], metric)} at {c.labels[-1]} labels" for c in curves) + "."


def _short(interval: Interval | None, metric: Metric, *, signed: bool = False) -> str:
    if interval is None:
        return "–"
    mean = f"{interval.mean:{'+' if signed else ''}.{metric.digits}f}"
    return mean + plus_minus(interval.half_width, digits=metric.digits, bounded=metric.bounded)


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"
