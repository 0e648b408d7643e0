"""NumPy arrays in `.npy` files: a picture (H, W), (H, W, 3), (3, H, W), or a stack (N, H, W), (N, H, W, C)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.formats.frame import Frame, Header, ImageError, colours_last, explained

SUFFIXES = (".npy",)


def header(path: Path) -> Header:
    """From the header of the file.

    Raises:
        ImageError: the file is missing, empty, no array, or of a shape that no picture has.
    """
    with explained(path):
        stack = _stack(path)
        picture = colours_last(stack[0])
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        return Header(
            len(stack), picture.shape[0], picture.shape[1], channels=channels, dtype=str(stack.dtype)
        )  # fmt: skip


def frames(path: Path) -> Iterator[Frame]:
    """Every picture of the array; only one is read at a time.

    Raises:
        ImageError: the file is missing, empty, truncated, no array, or of a shape that no picture has.
    """
    with explained(path):
        for picture in _stack(path):
            yield Frame(colours_last(np.array(picture)))


def _stack(path: Path) -> NDArray[Any]:
    """(N, ...) a memory-map of the pictures."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise ImageError("not-an-image", f"is no plain NumPy array ({error}); save it with numpy.save") from error
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_) or np.iscomplexobj(array):
        raise ImageError("undecodable", f"holds {array.dtype} where a picture holds real numbers; save it as such")
    if array.ndim == 4:
        return array
    picture = array.ndim == 2 or (array.ndim == 3 and (array.shape[0] in (3, 4) or array.shape[2] in (1, 3, 4)))
    if not picture and array.ndim != 3:
        raise ImageError("undecodable", f"has the shape {array.shape} where 2 to 4 dimensions are wanted; save it so")
    if 0 in array.shape:
        raise ImageError("undecodable", f"has the shape {array.shape}, so it is empty; save it again")
    return array[None] if picture else array
