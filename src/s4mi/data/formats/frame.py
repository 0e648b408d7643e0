"""What every format is read into, and what can be wrong with a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s4mi.errors import S4miError

FileProblem = Literal[
    "missing-file", "empty-file", "not-an-image", "too-large", "undecodable", "bad-mask", "mask-value"
]


class ImageError(S4miError):
    """A file that is not the image or mask it should be; `code` is a short stable name for what is wrong."""

    def __init__(self, code: FileProblem, message: str) -> None:
        super().__init__(message)
        self.code: FileProblem = code


@dataclass(frozen=True)
class Header:
    """What a file says of itself before anything is decoded.

    Attributes:
        frames: pages, frames or slices of one size and type.
        height, width: of each, in pixels, upright.
        channels: 1 grey, 2 grey with transparency, 3 colour, 4 colour with transparency; palettes count as 3.
        dtype: of the stored numbers, as numpy names it.
        turned: the file is stored on its side or mirrored and its EXIF orientation sets it upright.
    """

    frames: int
    height: int
    width: int
    channels: int
    dtype: str
    turned: bool = False


@dataclass(frozen=True)
class Frame:
    """One decoded page, frame or slice: upright, in the file's own numbers.

    Attributes:
        values: (H, W) or (H, W, C) with C of 3 or 4 (red, green, blue, transparency); any real type.
        window: the two values that the file itself wants shown as black and white, or None.
    """

    values: NDArray[Any]
    window: tuple[float, float] | None = None


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever goes wrong in opening or decoding `path` becomes an `ImageError` of one line that names no place."""
    try:
        if path.stat().st_size == 0:
            raise ImageError("empty-file", "is an empty file (0 bytes); copy it again from its source")
        yield
    except S4miError:
        raise
    except FileNotFoundError as error:
        raise ImageError("missing-file", "is not there; mend its path") from error
    except Exception as error:  # a broken file makes decoders raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError("undecodable", f"cannot be decoded ({reason}); copy it again from its source") from error


def colours_last(values: NDArray[Any]) -> NDArray[Any]:
    """(H, W), (H, W, 3|4) of an array that may have its channels first, or one channel too many.

    Raises:
        ImageError: the shape is no picture's.
    """
    if values.ndim == 3 and values.shape[0] in (1, 3, 4) and values.shape[2] not in (1, 3, 4):
        values = np.moveaxis(values, 0, 2)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        raise ImageError(
            "undecodable", f"has the shape {values.shape} where one grey or RGB picture is wanted; export it as such"
        )
    return values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values
