"""Drawing functions of both synthetic data sets: random streams, noise, outlines and the camera.

A `Field` is one float32 value per pixel, (size, size); a `Picture` is (3, size, size): red, green, blue from 0 to 1.
Lengths are fractions of the side of the image, so that a picture looks the same at every size.
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
    """One drawn image with its ground truth.

    Attributes:
        image: (size, size, 3) uint8, RGB.
        mask: (size, size) uint8, 0 for background and 255 for lesion or nucleus.
        labels: class names; one for lesions, none to four for cells.
        group: the patient.
    """

    image: Pixels
    mask: Pixels
    labels: tuple[str, ...]
    group: str


def stream(seed: int, kind: Kind, *, patient: int, image: int | None = None) -> Generator:
    """Return the random generator of a patient, or of one image of a patient, independent of all other images."""
    key = (("lesions", "cells").index(kind), patient, 0 if image is None else 1 + image)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def noise(rng: Generator, size: int, *, cells: int, octaves: int = 1) -> Field:
    """Draw smooth noise of mean 0 and standard deviation 1, whose coarsest octave has about `cells` bumps per side.

    Each octave has twice as many bumps of half the height; octaves finer than two pixels are omitted.
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
    """Compute 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * field)), dtype=np.float32)


def coordinates(size: int) -> tuple[Field, Field]:
    """Return x and y of the pixel centres, each (size, size), from 0 to 1."""
    line = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.tile(line, (size, 1)), np.repeat(line[:, None], size, axis=1)


def largest_blob(inside: NDArray[np.bool_]) -> Pixels:
    """Return the largest connected region as (H, W) 0/255, with its holes filled."""
    outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    blob = np.zeros(inside.shape, dtype=np.uint8)
    if outlines:
        cv2.drawContours(blob, [max(outlines, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    return blob


def signed_distance(mask: Pixels) -> Field:
    """Compute the distance to the outline as a fraction of the side, positive inside."""
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(255 - mask, cv2.DIST_L2, 5)
    return np.asarray((inside - outside) / mask.shape[0], dtype=np.float32)


def plane(colour: Colour | NDArray[np.float32]) -> Picture:
    """Shape a colour as (3, 1, 1), to broadcast over a picture."""
    return np.asarray(colour, dtype=np.float32).reshape(3, 1, 1)


def blend(picture: Picture, colour: Picture, alpha: Field) -> Picture:
    """Blend `colour`, a picture or a plane, over `picture`, opaque where `alpha` is 1."""
    return picture + (colour - picture) * alpha


def photographed(picture: Picture, rng: Generator, *, blur: float, photons: float) -> Pixels:
    """Simulate a photograph, (size, size, 3) uint8: defocus, shot noise and readout noise.

    Args:
        blur: standard deviation of the defocus, as a fraction of the side.
        photons: number of photons where the picture is 1; their shot noise uses the normal approximation.
    """
    image = np.ascontiguousarray(picture.transpose(1, 2, 0))
    image = cv2.GaussianBlur(image, (0, 0), max(blur * image.shape[0], 0.1))
    deviation = np.sqrt(np.clip(image, 0, None) / photons + 0.004**2)
    image = image + deviation * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.rint(np.clip(image, 0, 1) * 255), dtype=np.uint8)
