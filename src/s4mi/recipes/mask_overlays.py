"""Masks over their image: each class in its colour, or what was found, missed and wrongly seen beside the truth.

Colours are those of Okabe and Ito (2008), which people with any kind of colour vision tell apart.
"""

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
"""Of the foreground classes, in their order and over again; last those that beside a truth mean something else."""
HIT, MISSED, WRONG = GREEN, ORANGE, PURPLE
"""Foreground that has its class, that was taken for background, and that is another class or none in truth."""

STRENGTH = 0.45
"""Share of the colour in a tinted pixel."""
LINES = 300
"""An outline is as wide as the shorter side of the image divided by this, and at least a pixel."""


def class_colour(index: int) -> tuple[str, Colour]:
    """Name and colour of a foreground class, which count from 1."""
    colours = list(CLASS_COLOURS.items())
    return colours[(index - 1) % len(colours)]


def tinted(pixels: Pixels, classes: Pixels) -> Pixels:
    """An image (H, W, 3) with each foreground class of (H, W) in its colour, and its outline drawn solid."""
    picture = pixels.copy()
    shown = [int(index) for index in np.unique(classes) if index not in (0, IGNORE)]
    for index in shown:
        _tint(picture, classes == index, class_colour(index)[1])
    for index in shown:
        picture[outline(classes == index)] = class_colour(index)[1]
    return picture


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


def _tint(picture: Pixels, where: NDArray[np.bool_], colour: Colour) -> None:
    picture[where] = np.rint((1 - STRENGTH) * picture[where] + STRENGTH * np.array(colour)).astype(np.uint8)
