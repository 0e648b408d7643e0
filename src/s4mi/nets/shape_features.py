"""Shape and colour of what stands out in an image: the foreground of Otsu's threshold.

Three foregrounds: by grey value, by saturation, and the core, which is Otsu's threshold once more inside the first
(such as the nucleus of a cell, or the darkest part of a lesion). Of the two sides of a threshold, the foreground is
the one that covers less of the border of the image, so that it does not matter whether objects are bright or dark; the
core is the side farther from the background's grey value.

Shape is that of the largest component (8-connected).
"""

import cv2
import numpy as np
import skimage  # loads its packages when they are used
from numpy.typing import NDArray

from s4mi.nets.colour_features import CHANNELS, Colours

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

SMALLEST = 12
"""Number of pixels of the smallest component that has a shape."""
PROPERTIES = ("eccentricity", "solidity", "extent", "euler_number")
SHAPE = (
    *PROPERTIES, "roundness", "axis ratio", "diameter", "distance from centre", "asymmetry",
    *(f"Hu {number}" for number in range(1, 8)),
)  # fmt: skip
"""Names of the features of `shape_of`."""


def shape_features(image: Colours) -> dict[str, Floats]:
    """Features of the three foregrounds by name; 0 where there is none."""
    grey, saturated = foreground(image.grey), foreground(image.saturation)
    features: dict[str, Floats] = {}
    for name, mask in (("grey", grey), ("saturation", saturated), ("core", core(image.grey, grey))):
        features |= {f"{name} foreground {key}": value for key, value in _described(mask, image).items()}
        bright = float(mask.any()) * np.sign(_contrast(image.stack[CHANNELS.index("lightness")], mask))
        features[f"{name} foreground polarity"] = np.array([bright], dtype=np.float32)
    return features


def foreground(channel: NDArray[np.uint8]) -> Mask:
    """The side of Otsu's threshold that covers less of the border; nothing in a constant image."""
    if channel.min() == channel.max():
        return np.zeros(channel.shape, dtype=bool)
    above = np.asarray(channel > skimage.filters.threshold_otsu(channel))
    border = np.concatenate([above[0], above[-1], above[:, 0], above[:, -1]])
    return ~above if border.mean() > 0.5 else above


def core(channel: NDArray[np.uint8], mask: Mask) -> Mask:
    """The side of Otsu's threshold inside a foreground that differs more from the background."""
    inside = channel[mask]
    if not len(inside) or inside.min() == inside.max():
        return mask
    above = channel > skimage.filters.threshold_otsu(inside)
    outside = channel[~mask].mean()
    if abs(channel[mask & above].mean() - outside) >= abs(channel[mask & ~above].mean() - outside):
        return np.asarray(mask & above)
    return np.asarray(mask & ~above)


def shape_of(component: Mask) -> Floats:
    """The features named in `SHAPE` of one component, in parts of the image's side where they are lengths."""
    side = component.shape[0]
    region = skimage.measure.regionprops(component.astype(np.uint8))[0]
    perimeter = max(float(region.perimeter), 1.0)
    centre = np.asarray(region.centroid) - (side - 1) / 2
    hu = np.asarray(region.moments_hu)
    return np.array(
        [
            *(float(getattr(region, name)) for name in PROPERTIES),
            min(4 * np.pi * region.area / perimeter**2, 2.0),
            region.axis_minor_length / max(region.axis_major_length, 1e-6),
            region.equivalent_diameter_area / side,
            np.linalg.norm(centre) / side,
            _asymmetry(component, region.centroid),
            *(np.sign(hu) * np.sqrt(np.abs(hu))),
        ],
        dtype=np.float32,
    )


def _described(mask: Mask, image: Colours) -> dict[str, Floats]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = areas[areas >= SMALLEST]
    shape, amount = np.zeros(len(SHAPE), dtype=np.float32), np.zeros(3, dtype=np.float32)
    if len(large):
        shape = shape_of(labels == 1 + int(areas.argmax()))
        amount = np.array([mask.mean(), np.log1p(len(large)), areas.max() / areas.sum()], dtype=np.float32)
    inside = image.stack[:, mask]
    return {
        "amount": amount,
        "shape": shape,
        "colour": inside.mean(axis=1) if inside.size else np.zeros(len(CHANNELS), dtype=np.float32),
        "contrast": np.array([_contrast(channel, mask) for channel in image.stack], dtype=np.float32),
        "deviation": inside.std(axis=1) if inside.size else np.zeros(len(CHANNELS), dtype=np.float32),
    }


def _contrast(channel: Floats, mask: Mask) -> float:
    """Mean inside less mean outside."""
    return float(channel[mask].mean() - channel[~mask].mean()) if mask.any() and not mask.all() else 0.0


def _asymmetry(component: Mask, centroid: tuple[float, float]) -> float:
    """1 - IoU of the component and itself turned by 180° about its centroid."""
    row, column = (2 * coordinate for coordinate in centroid)
    turn = np.array([[-1.0, 0.0, column], [0.0, -1.0, row]])
    mask = component.view(np.uint8)
    turned = cv2.warpAffine(mask, turn, mask.shape[::-1], flags=cv2.INTER_NEAREST)
    return 1 - float((mask & turned).sum() / max((mask | turned).sum(), 1))
