"""Masks as a browser sends and shows them: 8-bit grey PNG whose pixels are class indices."""

import io

import numpy as np
from PIL import Image

from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import resize_image, resize_mask
from s4mi.data.masks import read_mask
from s4mi.data.row import Row
from s4mi.data.spec import IGNORED_CLASS, DatasetSpec
from s4mi.errors import S4miError
from s4mi.records import IGNORE
from s4mi.viewer.pictures import Picture, encode_lossless, shrunk_size
from s4mi.viewer.requests import RequestError

MAX_CLASSES = IGNORE
"""Most classes of a mask, background among them: 255 stands for ignored pixels."""
EQUAL, ONLY_TRUTH, ONLY_PREDICTION, OTHER_CLASS = 1, 2, 3, 4
"""Values of the picture of differences; 0 is background in both."""
PNG = b"\x89PNG\r\n\x1a\n"


def check_classes(spec: DatasetSpec) -> None:
    """Refuse a data set whose masks have more classes than a pixel of 8 bits can hold.

    Raises:
        S4miError: it has.
    """
    count = len(spec.mask_classes)
    if count > MAX_CLASSES:
        raise S4miError(
            f"{spec.name}: masks of {count} classes, more than {MAX_CLASSES}, cannot be shown; merge classes in "
            "mask_values of dataset.yaml"
        )


def ignores(spec: DatasetSpec) -> bool:
    """Whether masks of a data set may have ignored pixels."""
    return IGNORED_CLASS in spec.mask_values.values()


def read_sent_mask(body: bytes, spec: DatasetSpec, *, most: tuple[int, int]) -> Pixels:
    """Decode a mask that a client sent, (h, w) class indices.

    Args:
        most: (height, width) that it may have at most; checked before it is decoded.

    Raises:
        RequestError: it is not an 8-bit grey PNG, too large, or has values that are no classes.
    """
    size = _png_size(body)
    if size is None:
        raise RequestError(415, "body: not a PNG; send the mask as 8-bit grey PNG of class indices")
    if size[0] > most[0] or size[1] > most[1]:
        raise RequestError(
            422, f"body: mask is {size[0]}×{size[1]}, more than {most[0]}×{most[1]}; send it at image size"
        )
    try:
        with Image.open(io.BytesIO(body), formats=["PNG"]) as image:
            mode, mask = image.mode, np.array(image)
    except Exception as error:  # Pillow raises almost any exception on broken files
        raise RequestError(415, "body: PNG cannot be decoded; send it again") from error
    if mode != "L":
        depth = "is 16-bit" if mode.startswith("I") else f"has mode {mode}"
        raise RequestError(415, f"body: PNG {depth}; send the mask as 8-bit grey PNG of class indices")
    count = len(spec.mask_classes)
    used = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    wrong = [int(value) for value in used if value >= count and not (value == IGNORE and ignores(spec))]
    if wrong:
        raise RequestError(422, f"body: pixel value {wrong[0]} is no class; use 0 to {count - 1}")
    return mask


def _png_size(body: bytes) -> tuple[int, int] | None:
    """Return (height, width) in the header of a PNG, None if it is none; before a decoder sees the file."""
    if not body.startswith(PNG) or body[12:16] != b"IHDR" or len(body) < 33:
        return None
    width, height = int.from_bytes(body[16:20], "big"), int.from_bytes(body[20:24], "big")
    return (height, width) if width and height else None


def mask_picture(mask: Pixels, size: str) -> Picture:
    """Encode a mask as PNG at full size, or shrunk by nearest neighbour so that its longest side is at most `size`."""
    if size != "full":
        mask = resize_mask(mask, shrunk_size((mask.shape[0], mask.shape[1]), int(size)))
    return encode_lossless(np.ascontiguousarray(mask))


def difference(truth: Pixels, prediction: Pixels) -> Pixels:
    """Compare two masks (H, W): where both are background, equal, only one has a class, or the classes differ.

    Ignored pixels count as background in both.
    """
    known = truth != IGNORE
    here, there = (truth > 0) & known, (prediction > 0) & (prediction != IGNORE) & known
    result = np.zeros(truth.shape, dtype=np.uint8)
    result[here & there] = OTHER_CLASS
    result[here & (truth == prediction)] = EQUAL
    result[here & ~there] = ONLY_TRUTH
    result[~here & there] = ONLY_PREDICTION
    return result


def dice(truth: Pixels, prediction: Pixels) -> float:
    """Mean Dice of the foreground classes in either mask, without ignored pixels; 1 if both are background only."""
    known = truth != IGNORE
    truth, prediction = truth[known], prediction[known]
    both, here, there = (
        np.bincount(classes, minlength=256)[1:] for classes in (truth[truth == prediction], truth, prediction)
    )
    present = here + there > 0
    return float((2 * both / np.maximum(here + there, 1))[present].mean()) if present.any() else 1.0


def truth_like(size: tuple[int, ...], row: Row, spec: DatasetSpec) -> Pixels | None:
    """The mask of an image in the data set, (H, W) class indices; None if it has none of this size."""
    if row.mask is None:
        return None
    try:
        truth = read_mask(row.mask, spec.mask_values)
    except S4miError:
        return None
    return truth if truth.shape == size else None


def resized_grey(picture: Pixels, size: str) -> Pixels:
    """Shrink a grey map (H, W) by averaging so that its longest side is at most `size`."""
    if size == "full":
        return picture
    return resize_image(picture, shrunk_size((picture.shape[0], picture.shape[1]), int(size)))
