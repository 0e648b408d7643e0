"""Overlays of masks: each class in its colour, or a comparison with the true mask: correct, missed, false positive.

Colours are those of Okabe and Ito (2008), distinguishable with any kind of colour vision. Further ones are chosen as by
Glasbey et al. (2007, Colour displays for categorical images): each is as far as possible from all previous ones, here
for the kind of colour vision that distinguishes it least.
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
"""Colours of the first foreground classes, in order; last those with another meaning in comparisons."""
CORRECT, MISSED, FALSE_POSITIVE = GREEN, ORANGE, PURPLE
"""Foreground predicted as its class, predicted as background, and predicted but of another class or background."""

OPACITY = 0.45
"""Opacity of the colour over the image."""
OUTLINE_DIVISOR = 300
"""An outline is as wide as the shorter side of the image divided by this, but at least one pixel."""

MAX_COLOURS = 255
"""Number of classes or clusters with a colour of their own."""
LIGHTNESS = (30.0, 88.0)
"""Range of CIE L* of the further colours, visible on white and on black."""
COLOUR_VISION = (
    np.eye(3),
    np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
)
"""Linear RGB as perceived with normal vision, protanopia and deuteranopia (Machado et al. 2009)."""


def class_colour(index: int) -> tuple[str, Colour]:
    """Name and colour of a foreground class, counted from 1; they repeat from the 256th."""
    position = (index - 1) % MAX_COLOURS
    if position < len(CLASS_COLOURS):
        return list(CLASS_COLOURS.items())[position]
    colour = _further_colours()[position - len(CLASS_COLOURS)]
    return "#{:02x}{:02x}{:02x}".format(*colour), colour


def cluster_colour(number: int) -> tuple[str, Colour]:
    """Name and colour of a cluster, counted from 0; none is background."""
    return class_colour(number + 1)


def class_overlay(pixels: Pixels, classes: Pixels) -> Pixels:
    """Overlay an image (H, W, 3) with the foreground classes of a mask (H, W), each tinted and outlined."""
    shown = [int(index) for index in np.unique(classes) if index not in (0, IGNORE)]
    return _painted(pixels, classes, {index: class_colour(index)[1] for index in shown})


def cluster_overlay(pixels: Pixels, clusters: Pixels) -> Pixels:
    """Overlay an image (H, W, 3) with all clusters (H, W), including cluster 0, each tinted and outlined."""
    return _painted(pixels, clusters, {int(number): cluster_colour(int(number))[1] for number in np.unique(clusters)})


def comparison_overlay(pixels: Pixels, true_mask: Pixels, predicted: Pixels, *, outlined: bool = True) -> Pixels:
    """Overlay an image (H, W, 3) with a comparison of true and predicted mask, both (H, W) class indices.

    A foreground pixel predicted as another foreground class is a false positive. Pixels that are `IGNORE` in the true
    mask are left as they are.

    Args:
        outlined: outline each class of the true mask in white.
    """
    picture, known = pixels.copy(), true_mask != IGNORE
    foreground, predicted_foreground = (true_mask > 0) & known, (predicted > 0) & known
    for where, colour in (
        (foreground & (predicted == true_mask), CORRECT),
        (foreground & ~predicted_foreground, MISSED),
        (predicted_foreground & (predicted != true_mask), FALSE_POSITIVE),
    ):
        _tint(picture, where, colour)
    if outlined:
        for index in np.unique(true_mask[foreground]):
            picture[outline(true_mask == index)] = WHITE
    return picture


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Edge pixels of a mask (H, W); the image border is not an edge."""
    width = max(1, round(min(mask.shape) / OUTLINE_DIVISOR))
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    inside = cv2.erode(mask.astype(np.uint8), kernel)  # OpenCV does not erode from beyond the border
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
    """The colours after `CLASS_COLOURS`, from an RGB grid; white is reserved for the page and outlines."""
    steps = np.linspace(0, 255, 16)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    lightness = _perceived(grid)[0, :, 0]
    grid = grid[(lightness > LIGHTNESS[0]) & (lightness < LIGHTNESS[1])]
    perceived, used = _perceived(grid), _perceived(np.array([*CLASS_COLOURS.values(), WHITE], dtype=np.float64))
    nearest = np.stack([_least_distance(perceived, used[:, i]) for i in range(used.shape[1])]).min(axis=0)
    chosen = []
    for _ in range(MAX_COLOURS - len(CLASS_COLOURS)):
        best = int(nearest.argmax())
        chosen.append((int(grid[best, 0]), int(grid[best, 1]), int(grid[best, 2])))
        nearest = np.minimum(nearest, _least_distance(perceived, perceived[:, best]))
    return tuple(chosen)


def _perceived(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) sRGB in 0..255 → (3, N, 3) CIELAB as perceived with each kind of `COLOUR_VISION`."""
    part = colours / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    perceived = np.stack([linear @ vision.T for vision in COLOUR_VISION]).clip(0, 1).astype(np.float32)
    return np.asarray(cv2.cvtColor(perceived, cv2.COLOR_LRGB2Lab), dtype=np.float64)


def _least_distance(perceived: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, N, 3) and (V, 3) → (N,) distance to the reference, with the colour vision that distinguishes them least."""
    distance: NDArray[np.float64] = np.linalg.norm(perceived - reference[:, None], axis=-1).min(axis=0)
    return distance


def _tint(picture: Pixels, where: NDArray[np.bool_], colour: Colour) -> None:
    picture[where] = np.rint((1 - OPACITY) * picture[where] + OPACITY * np.array(colour)).astype(np.uint8)
