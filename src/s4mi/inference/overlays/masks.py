"""Masks over their image: each class in its colour, or what was found, missed and wrongly seen beside the truth.

Colours are those of Okabe and Ito (2008), which people with any kind of colour vision tell apart. Further ones are
found as Glasbey et al. (2007, Colour displays for categorical images) do: each is as far as can be from all before it,
here in the eyes of whoever tells it least well from them.
"""

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.intensity import Pixels
from s4mi.records import IGNORE

Colour = tuple[int, int, int]

SKY_BLUE, VERMILION, YELLOW, BLUE = (86, 180, 233), (213, 94, 0), (240, 228, 66), (0, 114, 178)
GREEN, ORANGE, PURPLE = (0, 158, 115), (230, 159, 0), (204, 121, 167)
WHITE = (255, 255, 255)

CLASS_COLOURS: dict[str, Colour] = {
    "sky blue": SKY_BLUE, "vermilion": VERMILION, "yellow": YELLOW, "blue": BLUE,
    "green": GREEN, "orange": ORANGE, "purple": PURPLE,
}  # fmt: skip
"""Of the first foreground classes, in their order; last those that beside a truth mean something else."""
HIT, MISSED, WRONG = GREEN, ORANGE, PURPLE
"""Foreground that has its class, that was taken for background, and that is another class or none in truth."""

STRENGTH = 0.45
"""Share of the colour in a tinted pixel."""
LINES = 300
"""An outline is as wide as the shorter side of the image divided by this, and at least a pixel."""

MOST_COLOURS = 255
"""So many classes or clusters have a colour of their own."""
LIGHTNESS = (30.0, 88.0)
"""CIE L* of the further colours, which are seen on white and on black."""
EYES = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
)
"""What is seen of linear RGB by all cones, without the red and without the green ones (Machado et al. 2009)."""


def class_colour(index: int) -> tuple[str, Colour]:
    """Name and colour of a foreground class, which count from 1; the 256th has that of the first."""
    place = (index - 1) % MOST_COLOURS
    if place < len(CLASS_COLOURS):
        return list(CLASS_COLOURS.items())[place]
    colour = _further_colours()[place - len(CLASS_COLOURS)]
    return "#{:02x}{:02x}{:02x}".format(*colour), colour


def cluster_colour(number: int) -> tuple[str, Colour]:
    """Name and colour of a cluster, which count from 0 and of which none is background."""
    return class_colour(number + 1)


def tinted(pixels: Pixels, classes: Pixels) -> Pixels:
    """An image (H, W, 3) with each foreground class of (H, W) in its colour, and its outline drawn solid."""
    shown = [int(index) for index in np.unique(classes) if index not in (0, IGNORE)]
    return _painted(pixels, classes, {index: class_colour(index)[1] for index in shown})


def clustered(pixels: Pixels, clusters: Pixels) -> Pixels:
    """An image (H, W, 3) with each cluster of (H, W) in its colour, the first one too, and its outline drawn solid."""
    return _painted(pixels, clusters, {int(number): cluster_colour(int(number))[1] for number in np.unique(clusters)})


def compared(pixels: Pixels, truth: Pixels, predicted: Pixels, *, line: bool = True) -> Pixels:
    """An image (H, W, 3) with what was found, missed and wrongly seen, by two (H, W) masks of classes.

    A pixel of one foreground class taken for another is wrong, not found. Pixels of the truth that are `IGNORE` stay
    as they are.

    Args:
        line: outline each class of the truth in white.
    """
    picture, known = pixels.copy(), truth != IGNORE
    there, given = (truth > 0) & known, (predicted > 0) & known
    for where, colour in (
        (there & (predicted == truth), HIT),
        (there & ~given, MISSED),
        (given & (predicted != truth), WRONG),
    ):
        _tint(picture, where, colour)
    if line:
        for index in np.unique(truth[there]):
            picture[outline(truth == index)] = WHITE
    return picture


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask (H, W) that lie at its edge; where the image ends is none."""
    reach = max(1, round(min(mask.shape) / LINES))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    inside = cv2.erode(mask.astype(np.uint8), kernel)  # what is beyond the image never erodes
    edge: NDArray[np.bool_] = mask & (inside == 0)
    return edge


def _painted(pixels: Pixels, labels: Pixels, colours: Mapping[int, Colour]) -> Pixels:
    picture = pixels.copy()
    for label, colour in colours.items():
        _tint(picture, labels == label, colour)
    for label, colour in colours.items():
        picture[outline(labels == label)] = colour
    return picture


@cache
def _further_colours() -> tuple[Colour, ...]:
    """The colours after `CLASS_COLOURS`, of a grid of RGB; white is taken by paper and outlines."""
    steps = np.linspace(0, 255, 16)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lightness = _seen(grid)[0, :, 0]
    grid = grid[(lightness > LIGHTNESS[0]) & (lightness < LIGHTNESS[1])]
    seen, taken = _seen(grid), _seen(np.array([*CLASS_COLOURS.values(), WHITE], dtype=np.float64))
    nearest = np.stack([_apart(seen, taken[:, i]) for i in range(taken.shape[1])]).min(axis=0)
    chosen = []
    for _ in range(MOST_COLOURS - len(CLASS_COLOURS)):
        best = int(nearest.argmax())
        chosen.append((int(grid[best, 0]), int(grid[best, 1]), int(grid[best, 2])))
        nearest = np.minimum(nearest, _apart(seen, seen[:, best]))
    return tuple(chosen)


def _seen(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) sRGB in 0..255 → (3, N, 3) CIELAB of what each of `EYES` sees."""
    part = colours / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    seen = np.stack([linear @ eye.T for eye in EYES]).clip(0, 1).astype(np.float32)
    return np.asarray(cv2.cvtColor(seen, cv2.COLOR_LRGB2Lab), dtype=np.float64)


def _apart(seen: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.float64]:
    """(E, N, 3) and (E, 3) → (N,) distance to the one, in the eyes of whoever tells them apart least."""
    distance: NDArray[np.float64] = np.linalg.norm(seen - one[:, None], axis=-1).min(axis=0)
    return distance


def _tint(picture: Pixels, where: NDArray[np.bool_], colour: Colour) -> None:
    picture[where] = np.rint((1 - STRENGTH) * picture[where] + STRENGTH * np.array(colour)).astype(np.uint8)
