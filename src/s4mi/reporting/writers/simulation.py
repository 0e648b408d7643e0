"""The files of a simulated active-learning study: table, figure and sentences; and reading the table back."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from s4mi.errors import S4miError
from s4mi.formatting import plural
from s4mi.maths.stats import Interval
from s4mi.records import write_text_atomically
from s4mi.records.atomic import replacing
from s4mi.reporting.figures.style import (
    axis_label,
    clip_to_score_range,
    draw_intervals,
    legend_below,
    nth_style,
    one_axes,
)
from s4mi.reporting.figures.svg import drawing, finish, standalone
from s4mi.reporting.results.paired_tests import ALPHA, compared, probability
from s4mi.reporting.results.scores import MISSING, Metric, spread
from s4mi.reporting.results.simulation import RoundScore, SimulationCurve, curves_of
from s4mi.reporting.results.table_model import Column, Table, table_row
from s4mi.reporting.writers.csv import table_csv
from s4mi.reporting.writers.markdown import table_markdown

NAME = "simulation"
NUDGE = 0.012
"""Horizontal offset between curves, as a share of the axis, so that their intervals do not overlap."""


def write_simulation(
    results: Sequence[RoundScore], metric: Metric, out: Path, *, reference: str
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write `simulation.csv`, `.svg`, `.png` and `.md` into `out`; return the files and their findings as sentences."""
    curves = curves_of(results, reference=reference, limits=metric.limits)
    lines = simulation_sentences(curves, metric, reference=reference)
    table, drawing_file, bitmap, page = (out / f"{NAME}.{ending}" for ending in ("csv", "svg", "png", "md"))
    write_text_atomically(table, _csv(results, metric))
    with drawing():
        figure = _figure(curves, metric)
        seeds = len({one.seed for one in results})
        title = f"Test {metric.label} by annotation round, {plural(seeds, 'seed')}"
        svg = finish(figure, title=title, description=" ".join(lines) or _last_scores(curves, metric))
        with replacing(bitmap) as draft:
            figure.savefig(draft, dpi=160, facecolor="white")
    write_text_atomically(drawing_file, standalone(svg))
    write_text_atomically(page, _markdown(curves, metric, lines, seeds=seeds, reference=reference))
    return (table, drawing_file, bitmap, page), lines


def read_simulation(out: Path, metric: Metric) -> list[RoundScore]:
    """The scores in the `simulation.csv` of `write_simulation`, to six digits; empty where there is no such file.

    Raises:
        S4miError: the file has another metric, or is not such a table.
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
                f"{path}: not a simulation table by {metric.label}; delete it, the runs are kept"
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
    axes.set_xlabel("labelled images")
    axes.set_ylabel(axis_label(metric))
    clip_to_score_range(axes, metric)
    legend_below(figure, axes)
    return figure


def _csv(results: Sequence[RoundScore], metric: Metric) -> str:
    columns = ("strategy", "seed", "round", "labels", metric.name)
    ordered = sorted(results, key=lambda one: (one.strategy, one.seed, one.round))
    rows = (
        table_row(one.strategy, f"{one.seed}", f"{one.round}", f"{one.labels}", f"{one.score:.6f}") for one in ordered
    )
    return table_csv(Table("Simulation", "", tuple(map(Column, columns)), tuple(rows)))


def _markdown(
    curves: Sequence[SimulationCurve], metric: Metric, lines: Sequence[str], *, seeds: int, reference: str
) -> str:
    caption = (
        f"Mean over {plural(seeds, 'seed')} with its 95 % interval over seeds. With an official split all seeds have "
        "the same test images, whose choice it does not include. All strategies share initial labels, number of labels "
        "per round and settings."
    )
    blocks = [
        f"# Test {metric.label} by annotation round",
        caption,
        *([sentences_markdown(lines)] if lines else []),
        *simulation_tables(curves, metric, reference=reference),
        f"![{metric.label} by number of labels]({NAME}.svg)",
    ]
    return "\n\n".join(blocks) + "\n"


def simulation_sentences(curves: Sequence[SimulationCurve], metric: Metric, *, reference: str) -> tuple[str, ...]:
    """What each strategy gains over the reference, with the test of it, in one sentence each."""
    return tuple(_sentence(curve, metric, reference) for curve in curves if curve.strategy != reference)


def sentences_markdown(lines: Sequence[str]) -> str:
    """A list of sentences."""
    return "\n".join(f"- {line}" for line in lines)


def simulation_tables(curves: Sequence[SimulationCurve], metric: Metric, *, reference: str) -> list[str]:
    """Markdown of the scores by round, and of the differences to the reference, if any, below a line of their own."""
    title = f"Test {metric.label} by annotation round"
    scores = {curve.strategy: [_short(one, metric) for one in curve.scores] for curve in curves}
    blocks = [table_markdown(_table(title, curves, scores))]
    differences = {
        curve.strategy: [_short(one, metric, signed=True) for one in curve.differences]
        for curve in curves
        if curve.strategy != reference and any(curve.differences)
    }
    if differences:
        name = f"Difference to {reference}, paired by seed"
        blocks += [f"{name}:", table_markdown(_table(name, curves, differences))]
    return blocks


def _table(title: str, curves: Sequence[SimulationCurve], scores: Mapping[str, Sequence[str]]) -> Table:
    """Strategies down, number of labels across; a strategy that is not as far as the others has dashes."""
    labels = max((curve.labels for curve in curves), key=len)
    rows = (table_row(strategy, *known, *[MISSING] * (len(labels) - len(known))) for strategy, known in scores.items())
    return Table(title, "", (Column("Strategy"), *(Column(f"{count} labels") for count in labels)), tuple(rows))


def _sentence(curve: SimulationCurve, metric: Metric, reference: str) -> str:
    gain = curve.gain
    if gain is None:
        return f"{curve.strategy}: not yet simulated as far as {reference}."
    difference = _short(gain, metric, signed=True)
    if gain.low is None or gain.high is None:
        return f"{curve.strategy}: {difference} vs {reference}, mean over the rounds; one seed allows no test."
    better = "better" if (gain.mean > 0) == metric.higher_is_better else "worse"
    verdict = better if curve.p is not None and curve.p < ALPHA else "no significant difference"
    name = "Holm-corrected p" if curve.tests > 1 else "p"
    p = "" if curve.p is None else f", {name} {compared(probability(curve.p))}"
    return (
        f"{curve.strategy}: {difference} vs {reference}, mean over the rounds, {plural(gain.n, 'seed')}{p}: {verdict}."
    )


def _last_scores(curves: Sequence[SimulationCurve], metric: Metric) -> str:
    return "; ".join(f"{c.strategy} {_short(c.scores[-1], metric)} at {c.labels[-1]} labels" for c in curves) + "."


def _short(interval: Interval | None, metric: Metric, *, signed: bool = False) -> str:
    if interval is None:
        return MISSING
    mean = f"{interval.mean:{'+' if signed else ''}.{metric.digits}f}"
    return mean + spread(interval, digits=metric.digits, signed=signed)
