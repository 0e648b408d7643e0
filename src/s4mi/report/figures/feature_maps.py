"""The map of an encoder's features: an image a point, a class a colour and a shape."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from s4mi.records import FeatureMap, MapPoint
from s4mi.report.figures.style import COLOURS, MARKERS, legend_below, one_axes, shortened
from s4mi.report.figures.svg import INK, drawing, finish

MOST_POINTS = 400
"""Of more images evenly chosen ones are drawn: each point is text in the page."""
MOST_CLASSES = 9

UNKNOWN = "not annotated"
NO_CLASS = "no class"
SEVERAL = "several classes"
OTHERS = "other classes"


def draw_feature_map(features: FeatureMap, *, title: str, most: int = MOST_POINTS) -> str | None:
    """An `<svg>` of the map, at most `most` points of it; None where there is no point."""
    if not features.points:
        return None
    points = _chosen(features.points, most)
    names = _names(points)
    with drawing():
        figure, axes = one_axes(height=3.2)
        told = []
        for place, (name, own) in enumerate(_by_name(points, names).items()):
            plain = name == UNKNOWN
            axes.plot(
                [point.x for point in own],
                [point.y for point in own],
                linestyle="none",
                marker="." if plain else MARKERS[place % len(MARKERS)],
                color=INK if plain else _COLOURS[place % len(_COLOURS)],
                markersize=5,
                markeredgewidth=0,
                alpha=0.35 if plain else 0.75,
                label=f"{shortened(name)} ({len(own)})",
            )
            x, y = np.mean([(point.x, point.y) for point in own], axis=0)
            told.append(f"{name}: {len(own)} images around ({x:.2g}, {y:.2g})")
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
        across, up = _AXES[features.projection]
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        legend_below(figure, axes)
        shown = (
            "" if features.explained is None else f" The plane shows {100 * features.explained:.0f} % of the variance."
        )
        return finish(figure, title=title, description="; ".join(told) + "." + shown)


_COLOURS = tuple(colour for colour in COLOURS if colour != INK)
_AXES = {
    "pca": ("first principal component", "second principal component"),
    "umap": ("UMAP, first axis", "UMAP, second axis"),
}


def _chosen(points: Sequence[MapPoint], most: int) -> list[MapPoint]:
    """At most `most` of the points, evenly spaced in their order."""
    if len(points) <= most:
        return list(points)
    return [points[i] for i in np.linspace(0, len(points) - 1, most).round().astype(int)]


def _names(points: Sequence[MapPoint]) -> list[str]:
    """What the legend calls each point: its class, the rarest of many classes as one."""
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
    """Points by their name: classes in the order of the alphabet, so that two maps agree, then the rest."""
    last = (SEVERAL, NO_CLASS, OTHERS, UNKNOWN)
    order = sorted(set(names), key=lambda name: (last.index(name) if name in last else -1, name))
    return {name: [point for point, own in zip(points, names, strict=True) if own == name] for name in order}
