"""Names at the ends of lines instead of a legend."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from s4mi.reporting.figures.svg import INK

LINE_HEIGHT = 10.5
"""Points between the centres of two names."""
GAP = 2.5
"""Points between two names, so that names of two lines stay apart."""
WRAP = 22
"""Letters of a line of a name."""
LEFT = 1.06
"""Where the names begin, in widths of the axes; they have the colour of text, which contrasts enough, and a marker."""


@dataclass(frozen=True)
class EndLabel:
    """A name at the end of a line; `x` and `y` are data coordinates of that end."""

    name: str
    x: float
    y: float
    colour: str
    marker: str = ""


def label_ends(axes: Axes, labels: Sequence[EndLabel]) -> None:
    """Write the names right of the axes in the order of their ends, none over another, each joined to its end."""
    if not labels:
        return
    axes.autoscale_view()
    per_point = axes.figure.dpi / 72
    box = axes.get_window_extent()
    ordered = sorted(labels, key=lambda label: label.y)
    lines = [wrapped(label.name) for label in ordered]
    centres = [axes.transData.transform((label.x, label.y))[1] / per_point for label in ordered]
    heights = [LINE_HEIGHT * len(each) + GAP for each in lines]
    for label, text, centre in zip(ordered, lines, spread(centres, heights), strict=True):
        share = (centre * per_point - box.y0) / box.height
        axes.annotate(
            "", xy=(label.x, label.y), xytext=(LEFT - 0.01, share), xycoords="data", textcoords="axes fraction",
            annotation_clip=False, arrowprops={"arrowstyle": "-", "color": label.colour, "linewidth": 0.7, "alpha": 0.7,
            "shrinkA": 0, "shrinkB": 3},
        )  # fmt: skip
        if label.marker:
            axes.plot(
                LEFT, share, label.marker, color=label.colour, markersize=5, transform=axes.transAxes, clip_on=False,
                scalex=False, scaley=False,
            )  # fmt: skip
        for number, line in enumerate(text):  # an SVG centres one line at a time
            offset = LINE_HEIGHT * ((len(text) - 1) / 2 - number)
            axes.annotate(
                line, (LEFT, share), xycoords="axes fraction", xytext=(6 if label.marker else 0, offset),
                textcoords="offset points", va="center", ha="left", fontsize=8.5, color=INK, annotation_clip=False,
            )  # fmt: skip


def spread(centres: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Move centres, in ascending order, apart as little as needed so that boxes of these heights do not overlap.

    Boxes that touch form a block around the mean of where they wanted to be.
    """
    blocks: list[tuple[list[int], float]] = []
    for number, centre in enumerate(centres):
        members, bottom = [number], centre - heights[number] / 2
        while blocks and blocks[-1][1] + sum(heights[n] for n in blocks[-1][0]) > bottom:
            members = [*blocks.pop()[0], *members]
            below = [sum(heights[n] for n in members[:place]) + heights[each] / 2 for place, each in enumerate(members)]
            bottom = sum(centres[n] - under for n, under in zip(members, below, strict=True)) / len(members)
        blocks.append((members, bottom))
    placed: list[float] = []
    for members, bottom in blocks:
        for number in members:
            placed.append(bottom + heights[number] / 2)
            bottom += heights[number]
    return placed


def wrapped(name: str) -> list[str]:
    """A name in at most two lines, broken at the dot between method and network where there is one."""
    if len(name) <= WRAP:
        return [name]
    method, dot, network = name.partition(" · ")
    parts = [method, network] if dot else [name]
    return [part if len(part) <= WRAP + 4 else f"{part[: WRAP + 3]}…" for part in parts]
