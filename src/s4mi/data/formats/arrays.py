"""NumPy arrays in `.npy` files: an image (H, W), (H, W, 3), (3, H, W), or a stack (N, H, W), (N, H, W, C)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.frame import Frame, Header, ImageError, colours_last, image_errors
from s4mi.data.formats.pixel_limit import check_pixels

SUFFIXES = (".npy",)


def header(path: Path) -> Header:
    """Return the header without reading the pixels.

    Raises:
        ImageError: the file is missing, empty, not an array, or not shaped like images.
    """
    with image_errors(path):
        stack = _stack(path)
        image = colours_last(stack[0])
        channels = 1 if image.ndim == 2 else image.shape[2]
        return Header(
            len(stack), image.shape[0], image.shape[1], channels=channels, dtype=str(stack.dtype)
        )  # fmt: skip


def frames(path: Path) -> Iterator[Frame]:
    """Yield every image of the array; only one is read at a time.

    Raises:
        ImageError: the file is missing, empty, truncated, not an array, or not shaped like images.
    """
    with image_errors(path):
        for image in _stack(path):
            yield Frame(colours_last(np.array(image)))


def _stack(path: Path) -> NDArray[Any]:
    """Memory-map the images as (N, ...)."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ImageError("not-an-image", f"is not a plain NumPy array ({error}); save it with numpy.save") from error
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_) or np.iscomplexobj(array):
        raise ImageError("undecodable", f"holds {array.dtype} values; save real numbers instead")
    if array.ndim == 4:
        return array
    single = array.ndim == 2 or (array.ndim == 3 and (array.shape[0] in (3, 4) or array.shape[2] in (1, 3, 4)))
    if not single and array.ndim != 3:
        raise ImageError("undecodable", f"has shape {array.shape}; save an array of 2 to 4 dimensions")
    if 0 in array.shape:
        raise ImageError("undecodable", f"has shape {array.shape} and is empty; save it again")
    stack = array[None] if single else array
    check_pixels(*colours_last(stack[0]).shape[:2])
    return stack
