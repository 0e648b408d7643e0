"""Colour of an image: channels in three colour spaces, their histograms and moments.

    red, green, blue                   in [0, 1]
    hue x, hue y                       saturation · (cos, sin) of the hue: grey has none, and red does not jump
    saturation, value                  in [0, 1]
    lightness, a, b                    CIELAB for D65, divided by 100

Histograms are square roots of shares, so that differences between rare colours count (Hellinger). A pixel counts in the
histogram of hues by its saturation.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import skimage  # loads its packages when they are used
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BINS = 16
CHANNELS = ("red", "green", "blue", "hue x", "hue y", "saturation", "value", "lightness", "a", "b")
"""Names of the channels of `Colours.stack`."""
LUMA = np.array([0.2125, 0.7154, 0.0721], dtype=np.float32)
"""Weights of red, green and blue in grey, those of scikit-image."""
CENTRE = 0.3
"""Radius, in sides of the image, of the disc whose colours are described by themselves."""
AB_RANGE = 0.64
"""Colours of tissue lie within ±64 in a and b; rarer ones are counted in the outermost bins."""


@dataclass(frozen=True)
class Colours:
    """An image in its channels.

    Attributes:
        stack: (10, S, S) float32, the channels named in `CHANNELS`.
        hue: (S, S) float32 in [0, 1).
        grey, saturation: (S, S) uint8.
    """

    stack: Floats
    hue: Floats
    grey: NDArray[np.uint8]
    saturation: NDArray[np.uint8]


def colours(image: Floats) -> Colours:
    """Split an (S, S, 3) RGB image in [0, 1] into channels."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    lab = np.asarray(skimage.color.rgb2lab(image), dtype=np.float32) / 100
    degrees, saturation = hsv[..., 0], hsv[..., 1]
    angle = np.deg2rad(degrees)
    hue_xy = [saturation * np.cos(angle), saturation * np.sin(angle)]
    stack = np.stack([*np.moveaxis(image, -1, 0), *hue_xy, saturation, hsv[..., 2], *np.moveaxis(lab, -1, 0)])
    return Colours(stack, degrees / 360, _bytes(image @ LUMA), _bytes(saturation))


def colour_features(image: Colours) -> dict[str, Floats]:
    """Histograms, and mean, standard deviation and skewness of each channel, of the image and of its centre."""
    features = {"hue histogram": _histogram(image.hue, 0, 1, weight=image.stack[CHANNELS.index("saturation")])}
    for name, channel in zip(CHANNELS, image.stack, strict=True):
        if not name.startswith("hue"):
            limit = AB_RANGE if name in ("a", "b") else 1
            features[f"{name} histogram"] = _histogram(channel, -limit if name in ("a", "b") else 0, limit)
    pixels = image.stack.reshape(len(CHANNELS), -1)
    features |= _moments(pixels, "")
    features |= _moments(pixels[:, _centre(image.hue.shape[0]).ravel()], "centre ")
    return features


def _bytes(channel: Floats) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(channel, 0, 1) * 255), dtype=np.uint8)


def _histogram(channel: Floats, low: float, high: float, *, weight: Floats | None = None) -> Floats:
    bins = np.clip((channel.ravel() - low) * (BINS / (high - low)), 0, BINS - 1).astype(np.intp)
    counts = np.bincount(bins, weights=None if weight is None else weight.ravel(), minlength=BINS)
    return np.asarray(np.sqrt(counts / channel.size), dtype=np.float32)


def _moments(pixels: Floats, prefix: str) -> dict[str, Floats]:
    mean = pixels.mean(axis=1)
    centred = pixels - mean[:, None]
    squared = np.square(centred)
    deviation = np.sqrt(squared.mean(axis=1))
    third = (squared * centred).mean(axis=1)
    flat = deviation < 1e-4  # rounding of a constant channel must not look like a shape of its distribution
    skewness = np.where(flat, 0, third / np.where(flat, 1, deviation) ** 3)
    return {f"{prefix}mean": mean, f"{prefix}deviation": deviation, f"{prefix}skewness": skewness}


def _centre(side: int) -> NDArray[np.bool_]:
    offset = (np.arange(side) + 0.5) / side - 0.5
    return np.asarray(np.square(offset)[:, None] + np.square(offset) <= CENTRE**2)
