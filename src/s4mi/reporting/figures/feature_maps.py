"""Feature map of an encoder: a point per image, a colour and marker per class."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from s4mi.records import FeatureMap, MapPoint
from s4mi.reporting.figures.style import COLOURS, MARKERS, legend_below, one_axes, shortened
from s4mi.reporting.figures.svg import INK, drawing, finish

MOST_POINTS = 400
"""Of more images an evenly spaced subset is drawn: each point is text in the page."""
MOST_CLASSES = 9

UNKNOWN = "not annotated"
NO_CLASS = "no class"
SEVERAL = "several classes"
OTHERS = "other classes"


def draw_feature_map(features: FeatureMap, *, title: str) -> str | None:
    """Draw an `<svg>` with at most `MOST_POINTS` points of a feature map; None if it has no points."""
    if not features.points:
        return None
    points = _subset(features.points, MOST_POINTS)
    names = _names(points)
    with drawing():
        figure, axes = one_axes(height=3.2)
        descriptions = []
        for index, (name, members) in enumerate(_by_name(points, names).items()):
            is_unknown = name == UNKNOWN
            axes.plot(
                [point.x for point in members],
                [point.y for point in members],
                linestyle="none",
                marker="." if is_unknown else MARKERS[index % len(MARKERS)],
                color=INK if is_unknown else _COLOURS[index % len(_COLOURS)],
                markersize=5,
                markeredgewidth=0,
                alpha=0.35 if is_unknown else 0.75,
                label=f"{shortened(name)} ({len(members)})",
            )
            x, y = np.mean([(point.x, point.y) for point in members], axis=0)
            descriptions.append(f"{name}: {len(members)} images around ({x:.2g}, {y:.2g})")
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        x_label, y_label = _AXES[features.projection]
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        legend_below(figure, axes)
        variance = (
            "" if features.explained is None else f" The plane shows {100 * features.explained:.0f} % of the variance."
        )
        return finish(figure, title=title, description="; ".join(descriptions) + "." + variance)


_COLOURS = tuple(colour for colour in COLOURS if colour != INK)
_AXES = {
    "pca": ("first principal component", "second principal component"),
    "umap": ("UMAP, first axis", "UMAP, second axis"),
}


def _subset(points: Sequence[MapPoint], most: int) -> list[MapPoint]:
    """At most `most` of the points, evenly spaced in their order."""
    if len(points) <= most:
        return list(points)
    return [points[i] for i in np.linspace(0, len(points) - 1, most).round().astype(int)]


def _names(points: Sequence[MapPoint]) -> list[str]:
    """Legend entry of each point: its class, with the rarest of many classes merged."""
    names = [_name(point) for point in points]
    counts = Counter(name for name in names if name != UNKNOWN)
    kept = {name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_CLASSES]}
    return [name if name in kept or name == UNKNOWN or len(counts) <= MOST_CLASSES else OTHERS for name in names]


def _name(point: MapPoint) -> str:
    if point.labels is None:
        return UNKNOWN
    if len(point.labels) > 1:
        return SEVERAL
    return point.labels[0] if point.labels else NO_CLASS


def _by_name(points: Sequence[MapPoint], names: Sequence[str]) -> dict[str, list[MapPoint]]:
    """Points by legend entry: classes in alphabetical order, so that two maps agree, then the rest."""
    last = (SEVERAL, NO_CLASS, OTHERS, UNKNOWN)
    order = sorted(set(names), key=lambda name: (last.index(name) if name in last else -1, name))
    return {name: [point for point, its_name in zip(points, names, strict=True) if its_name == name] for name in order}
