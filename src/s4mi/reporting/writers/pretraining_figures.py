"""The figures on the pre-training runs of one data set: the health of the features, and maps of them."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from s4mi.records import LEAST_RANK, LEAST_STD
from s4mi.reporting.figures.feature_maps import MOST_POINTS, draw_feature_map
from s4mi.reporting.figures.pretraining_health import knn_curves, signal_curves, spread_curves
from s4mi.reporting.figures.svg import CaptionedFigure
from s4mi.reporting.results.pretraining import in_order, names_of, signal_name
from s4mi.reporting.results.runs import PretrainingRun


def pretraining_figures(runs: Sequence[PretrainingRun]) -> tuple[CaptionedFigure, ...]:
    """Every figure that the runs, all on one data set, have measurements for."""
    return tuple(CaptionedFigure(Markup(svg), caption) for svg, caption in _figures(runs) if svg)


def _figures(runs: Sequence[PretrainingRun]) -> Iterator[tuple[str | None, str]]:
    yield (
        spread_curves(runs),
        "Feature spread: standard deviation and effective rank by epoch, one line per run and encoder. Epoch 0 is "
        f"before training. Features below the dotted lines ({LEAST_STD:g} and {LEAST_RANK:g}) have collapsed.",
    )
    for name in sorted({name for run in runs for name in run.record.end.signals}):
        yield signal_curves(runs, name), f"Signal of the method: {signal_name(name)} by epoch."
    yield knn_curves(runs), "k-NN: macro F1 of classifying validation images by their nearest labelled training images."
    names = names_of(runs)
    first = {(names[run.directory], run.record.backbone): run for run in reversed(in_order(runs)) if run.feature_map}
    for (name, _), run in reversed(first.items()):  # the first seed alone: the maps of the others look alike
        yield _map(run, name)


def _map(run: PretrainingRun, name: str) -> tuple[str | None, str]:
    features, record = run.feature_map, run.record
    assert features is not None
    subject = f"features of {features.encoder} after {name}, seed {record.seed}"
    facts = [f"{min(len(features.points), MOST_POINTS)} of {len(features.points)} images"]
    if features.explained is not None:
        facts.append(f"the plane explains {100 * features.explained:.0f} % of the variance")
    elif features.projection == "umap":
        facts.append("neighbours are similar, distances between groups carry no meaning")
    else:
        facts.append("all features coincide")
    svg = draw_feature_map(features, title=f"Map of the {subject}: {record.dataset}")
    return svg, f"Map of the {subject}: {', '.join(facts)}. Made without labels."
