"""The common in-memory form of every image format, and the errors of unreadable files."""

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
    """A file that cannot be read as an image or mask; `code` is a short, stable name of the problem."""

    def __init__(self, code: FileProblem, message: str) -> None:
        super().__init__(message)
        self.code: FileProblem = code


@dataclass(frozen=True)
class Header:
    """Properties of an image file that are known without decoding it.

    Attributes:
        frames: number of pages, frames or slices of one size and type.
        height, width: size of each in pixels, after EXIF orientation.
        channels: 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha; palettes count as 3.
        dtype: NumPy name of the stored data type.
        turned: the pixels are stored rotated or mirrored, to be corrected by the EXIF orientation.
        banded: the format allows the rows of the first page to be read in bands, without decoding the rest.
    """

    frames: int
    height: int
    width: int
    channels: int
    dtype: str
    turned: bool = False
    banded: bool = False


@dataclass(frozen=True)
class Frame:
    """One decoded page, frame or slice: upright, with the values stored in the file.

    Attributes:
        values: (H, W) or (H, W, C) with C = 3 or 4 (red, green, blue, alpha); any real data type.
        window: values that the file specifies to be shown as black and white, or None.
        inverted: low values are bright (MONOCHROME1); `values` and `window` are those of the file, not inverted.
        padding: (H, W) pixels outside the acquired image (PixelPaddingValue), which no percentile counts; None if none.
        header: of its file, where the decoder knows it without opening the file again.
    """

    values: NDArray[Any]
    window: tuple[float, float] | None = None
    inverted: bool = False
    padding: NDArray[np.bool_] | None = None
    header: Header | None = None

    def sample(self, stride: int = 1) -> NDArray[Any]:
        """Return every `stride`-th value without padding."""
        values = self.values.reshape(-1)[::stride]
        if self.padding is None or (inside := ~self.padding.reshape(-1)[::stride]).all():
            return np.asarray(values)
        return np.asarray(values[inside])


@contextmanager
def image_errors(path: Path) -> Iterator[None]:
    """Convert any failure to open or decode `path` into a one-line `ImageError`, whose message leaves out the path."""
    try:
        if path.stat().st_size == 0:
            raise ImageError("empty-file", "is an empty file (0 bytes); copy it again from its source")
        yield
    except S4miError:
        raise
    except MemoryError as error:
        raise ImageError(
            "too-large", "needs more memory than there is; cut it into tiles, or use a machine with more memory"
        ) from error
    except PermissionError as error:
        raise ImageError("undecodable", "cannot be opened (permission denied); change its permissions") from error
    except FileNotFoundError as error:
        raise ImageError("missing-file", "does not exist; correct its path") from error
    except Exception as error:  # decoders raise almost any exception on broken files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError("undecodable", f"cannot be decoded ({reason}); copy it again from its source") from error


def colours_last(values: NDArray[Any]) -> NDArray[Any]:
    """Return an image as (H, W) or (H, W, 3|4), moving leading channels last and dropping a single channel.

    Raises:
        ImageError: the shape is not that of an image.
    """
    if values.ndim == 3 and values.shape[0] in (1, 3, 4) and values.shape[2] not in (1, 3, 4):
        values = np.moveaxis(values, 0, 2)
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        raise ImageError(
            "undecodable", f"has shape {values.shape}, not that of a greyscale or RGB image; re-export it as one"
        )
    return values[:, :, 0] if values.ndim == 3 and values.shape[2] == 1 else values
