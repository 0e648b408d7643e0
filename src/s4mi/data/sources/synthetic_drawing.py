"""What the two synthetic data sets are drawn with: random streams, noise, outlines and the camera.

A `Field` is one float32 number per pixel, (size, size); a `Picture` is (3, size, size): red, green, blue from 0 to 1.
Lengths are fractions of the image's side, so that a picture looks the same at every size.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Kind = Literal["lesions", "cells"]
Pixels = NDArray[np.uint8]
Field = NDArray[np.float32]
Picture = NDArray[np.float32]
Colour = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Drawing:
    """One drawn image and everything that is true about it.

    Attributes:
        image: (size, size, 3) uint8, RGB.
        mask: (size, size) uint8, 0 background and 255 lesion or nucleus.
        labels: class names; one for a lesion, none to four for cells.
        group: the patient.
    """

    image: Pixels
    mask: Pixels
    labels: tuple[str, ...]
    group: str


def stream(seed: int, kind: Kind, *, patient: int, image: int | None = None) -> Generator:
    """The random numbers of a patient, or of one of the patient's images; no other image can change them."""
    key = (("lesions", "cells").index(kind), patient, 0 if image is None else 1 + image)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def noise(rng: Generator, size: int, *, cells: int, octaves: int = 1) -> Field:
    """Smooth noise of mean 0 and deviation 1; the coarsest of its octaves has about `cells` bumps along a side.

    Each octave doubles the bumps and halves their height; octaves finer than two pixels are left out.
    """
    grid = rng.standard_normal((cells + 2, cells + 2), dtype=np.float32)
    for octave in range(1, octaves):
        side = 2 * grid.shape[0]
        if side > size // 2:
            break
        grid = cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        grid += 0.5**octave * rng.standard_normal((side, side), dtype=np.float32)
    field = np.asarray(cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
    mean, deviation = cv2.meanStdDev(field)
    return (field - np.float32(mean[0, 0])) / np.float32(deviation[0, 0])


def sigmoid(field: Field) -> Field:
    """1 / (1 + exp(-x)), safe for large x."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * field)), dtype=np.float32)


def coordinates(size: int) -> tuple[Field, Field]:
    """x and y of every pixel centre, each (size, size), from 0 to 1."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.tile(line, (size, 1)), np.repeat(line[:, None], size, axis=1)


def largest_blob(inside: NDArray[np.bool_]) -> Pixels:
    """(H, W) 0/255: the largest connected region, holes filled."""
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    blob = np.zeros(inside.shape, dtype=np.uint8)
    if outlines:
        cv2.drawContours(blob, [max(outlines, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    return blob


def signed_distance(mask: Pixels) -> Field:
    """Distance to the outline as a fraction of the side, positive inside."""
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(255 - mask, cv2.DIST_L2, 5)
    return np.asarray((inside - outside) / mask.shape[0], dtype=np.float32)


def plane(colour: Colour | NDArray[np.float32]) -> Picture:
    """(3, 1, 1): one colour that spreads over a whole picture."""
    return np.asarray(colour, dtype=np.float32).reshape(3, 1, 1)


def blend(picture: Picture, colour: Picture, alpha: Field) -> Picture:
    """Lay `colour`, a picture or a plane, over `picture`, opaque where `alpha` is 1."""
    return picture + (colour - picture) * alpha


def photographed(picture: Picture, rng: Generator, *, blur: float, photons: float) -> Pixels:
    """(size, size, 3) uint8: out of focus by `blur`, a fraction of the side, with shot noise and readout noise.

    `photons` are counted where the picture is 1; their number scatters by its root, here by the normal approximation.
    """
    image = np.ascontiguousarray(picture.transpose(1, 2, 0))
    image = cv2.GaussianBlur(image, (0, 0), max(blur * image.shape[0], 0.1))
    deviation = np.sqrt(np.clip(image, 0, None) / photons + 0.004**2)
    image = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.rint(np.clip(image, 0, 1) * 255), dtype=np.uint8)
