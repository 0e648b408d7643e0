"""Texture of an image: local binary patterns, grey-level co-occurrence, oriented gradients and granulometry.

Texture has no preferred direction in most medical images: what is measured by direction enters as its mean over
directions and its range.
"""

import cv2
import numpy as np
import skimage  # loads its packages when they are used
from numpy.typing import NDArray

from s4mi.nets.colour_features import Colours
from s4mi.nets.local_binary_patterns import local_binary_patterns

Floats = NDArray[np.float32]

PATTERNS = ((8, 1), (16, 2), (16, 4))
"""Points and radius, in pixels, of the circles of local binary patterns."""
LEVELS = 32
DISTANCES = (1, 2, 4, 8)
"""Distances in pixels at which pairs of grey levels are counted, in the four directions of the grid."""
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "ASM", "correlation", "entropy")
ORIENTATIONS, CELLS = 8, 4
RADII = (1, 2, 4, 8, 16)
"""Radii in pixels of the discs of granulometry."""


def texture_features(image: Colours) -> dict[str, Floats]:
    """Features of texture by name."""
    features: dict[str, Floats] = {}
    for channel, name in ((image.grey, "grey"), (image.saturation, "saturation")):
        for points, radius in PATTERNS:
            codes = local_binary_patterns(channel, points, radius)
            counts = np.bincount(codes.ravel(), minlength=points + 2)
            features[f"{name} patterns at {radius}"] = np.sqrt(counts / codes.size).astype(np.float32)
    return features | cooccurrence(image.grey) | oriented_gradients(image.grey) | granulometry(image.grey)


def cooccurrence(grey: NDArray[np.uint8]) -> dict[str, Floats]:
    """Mean and range over four directions of Haralick's properties, at each distance."""
    angles = np.arange(4) * np.pi / 4
    levels = grey // (256 // LEVELS)
    matrix = skimage.feature.graycomatrix(levels, DISTANCES, angles, levels=LEVELS, symmetric=True, normed=True)
    features = {}
    for name in PROPERTIES:
        values = skimage.feature.graycoprops(matrix, name).astype(np.float32)  # (distances, angles)
        features[f"{name} of pairs"] = values.mean(axis=1)
        features[f"{name} of pairs, range"] = np.ptp(values, axis=1)
    return features


def oriented_gradients(grey: NDArray[np.uint8]) -> dict[str, Floats]:
    """Histograms of oriented gradients in 4 × 4 cells, of all cells together and as strength of each cell."""
    rows, columns = (max(side // CELLS, 1) for side in grey.shape)
    cells = skimage.feature.hog(
        grey / 255,
        ORIENTATIONS,
        pixels_per_cell=(rows, columns),
        cells_per_block=(1, 1),
        block_norm="L1",
        feature_vector=False,
    )
    strength = _edges(grey, CELLS)
    whole = cells.reshape(-1, ORIENTATIONS).mean(axis=0)
    return {
        "gradients by direction": whole.astype(np.float32),
        "gradients, range of directions": np.array([np.ptp(whole)], dtype=np.float32),
        "gradients by cell": strength.ravel(),
    }


def granulometry(grey: NDArray[np.uint8]) -> dict[str, Floats]:
    """Grey values that openings (bright grains) and closings (dark grains) by discs of each size remove."""
    from skimage.morphology import disk

    bright, dark = [], []
    opened = closed = float(grey.mean())
    for radius in RADII:
        disc = disk(radius)
        smaller = float(cv2.morphologyEx(grey, cv2.MORPH_OPEN, disc).mean())
        greater = float(cv2.morphologyEx(grey, cv2.MORPH_CLOSE, disc).mean())
        bright.append((opened - smaller) / 255)
        dark.append((greater - closed) / 255)
        opened, closed = smaller, greater
    return {"bright grains": np.array(bright, dtype=np.float32), "dark grains": np.array(dark, dtype=np.float32)}


def _edges(grey: NDArray[np.uint8], cells: int) -> Floats:
    """(cells, cells) mean length of the gradient."""
    values = grey.astype(np.float32) / 255
    length = cv2.magnitude(cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1))
    return np.asarray(cv2.resize(length, (cells, cells), interpolation=cv2.INTER_AREA), dtype=np.float32)
