"""What a page says of the pre-training on one data set: a table, the health of the features, and maps of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from s4mi.records import LEAST_RANK, LEAST_STD
from s4mi.report.figures.feature_maps import MOST_POINTS, draw_feature_map
from s4mi.report.figures.pretraining_health import knn_curves, signal_curves, spread_curves
from s4mi.report.figures.svg import CaptionedFigure
from s4mi.report.results.pretraining import (
    PretrainingRow,
    collapses,
    in_order,
    names_of,
    pretraining_rows,
    signal_name,
)
from s4mi.report.results.runs import PretrainingRun
from s4mi.report.results.scores import MISSING


@dataclass(frozen=True)
class PretrainingSection:
    """The pre-training runs of one data set. `collapses` are sentences, none where all features are alive."""

    dataset: str
    rows: tuple[PretrainingRow, ...]
    collapses: tuple[str, ...]
    figures: tuple[CaptionedFigure, ...]

    @property
    def has_signals(self) -> bool:
        return any(row.signals for row in self.rows)

    @property
    def has_knn(self) -> bool:
        return any(space.knn != MISSING for row in self.rows for space in row.spaces)


def pretraining_section(runs: Sequence[PretrainingRun]) -> PretrainingSection:
    """The section on `runs`, which are of one data set and at least one."""
    return PretrainingSection(
        dataset=runs[0].record.dataset,
        rows=pretraining_rows(runs),
        collapses=tuple(collapses(runs)),
        figures=tuple(CaptionedFigure(Markup(svg), caption) for svg, caption in _figures(runs) if svg),
    )


def _figures(runs: Sequence[PretrainingRun]) -> Iterator[tuple[str | None, str]]:
    yield (
        spread_curves(runs),
        "Whether features still tell images apart: standard deviation and effective rank by epoch, one line per run "
        f"and encoder. Epoch 0 is before training. Below the dots ({LEAST_STD:g} and {LEAST_RANK:g}) is collapse.",
    )
    for name in sorted({name for run in runs for name in run.record.end.signals}):
        yield signal_curves(runs, name), f"What the method watches itself: {signal_name(name)} by epoch."
    yield (
        knn_curves(runs),
        "What the features know already: macro F1 of answering validation images with their nearest training images.",
    )
    names = names_of(runs)
    first = {(names[run.directory], run.record.backbone): run for run in reversed(in_order(runs)) if run.feature_map}
    for (name, _), run in reversed(first.items()):  # of several seeds the first: the others look the same
        yield _map(run, name)


def _map(run: PretrainingRun, name: str) -> tuple[str | None, str]:
    features, record = run.feature_map, run.record
    assert features is not None
    what = f"features of {features.encoder} after {name}, seed {record.seed}"
    count = f"{min(len(features.points), MOST_POINTS)} of {len(features.points)} images"
    if features.explained is None:
        plane = "neighbours are alike; distances between groups mean nothing" if features.projection == "umap" else ""
    else:
        plane = f"the plane shows {100 * features.explained:.0f} % of the variance"
    svg = draw_feature_map(features, title=f"Map of the {what}: {record.dataset}")
    return svg, f"Map of the {what}: {count}, {plane or 'all at one place'}. No label was used to make it."
