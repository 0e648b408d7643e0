"""Read images and masks as uint8 arrays, resize them, cut pages into tiles and put tiles together again.

Anything that is not 8 bits a channel is stretched linearly so that its 0.1th and 99.9th percentiles become 0 and 255
(computed per image over all channels); `read_image` says in its docstring what it does with every kind of file.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from s4mi.data.spec import IGNORED_CLASS
from s4mi.errors import S4miError
from s4mi.records import IGNORE

Pixels = NDArray[np.uint8]

Trouble = Literal["missing-file", "empty-file", "not-an-image", "too-large", "undecodable", "bad-mask", "mask-value"]


class ImageError(S4miError):
    """A file that is not the image or mask it should be; `code` is a short stable name for what is wrong."""

    def __init__(self, code: Trouble, message: str) -> None:
        super().__init__(message)
        self.code: Trouble = code


SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
"""File endings that `read_image` knows."""

_TIFF = (".tif", ".tiff")


def read_image(path: Path) -> Pixels:
    """(H, W, 3) uint8 RGB. Grey is repeated, transparency dropped, EXIF orientation applied; of a TIFF the first page.

    Raises:
        ImageError: the file is missing, empty, truncated or no image; the message says which and names no place.
    """
    pixels = _read_pixels(path)
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])


def read_mask(path: Path, mask_values: Mapping[int, str]) -> Pixels:
    """(H, W) uint8 class indices, in the order in which `mask_values` (pixel value → class name) first names them.

    A 1-bit mask has the values 0 and 1, a palette mask its palette indices.

    Raises:
        ImageError: the file cannot be read, has differing colour channels, or holds a value that `mask_values` lacks.
    """
    values = _mask_pixels(path)
    names = list(dict.fromkeys(name for name in mask_values.values() if name != IGNORED_CLASS))
    table = np.full(256, 254, dtype=np.uint8)
    for value, name in mask_values.items():
        table[value] = IGNORE if name == IGNORED_CLASS else names.index(name)
    known = np.zeros(256, dtype=bool)
    known[list(mask_values)] = True
    strangers = [value for value in _distinct(values) if not known[value]]
    if strangers:
        shown = ", ".join(map(str, strangers[:5])) + (", …" if len(strangers) > 5 else "")
        raise ImageError(
            "mask-value",
            f"holds the value {shown} which mask_values ({', '.join(map(str, mask_values))}) does not name; "
            f"add it to mask_values in dataset.yaml or re-export the mask",
        )
    return table[values]


def mask_file_values(path: Path) -> tuple[int, ...]:
    """The distinct pixel values of a mask file, ascending.

    Raises:
        ImageError: the file cannot be read, or has differing colour channels.
    """
    return _distinct(_mask_pixels(path))


def is_grey(path: Path) -> bool:
    """Whether the file holds one channel, from its header alone.

    Raises:
        ImageError: the file is missing, empty or no image.
    """
    if path.suffix.lower() in _TIFF:
        with _opened_tiff(path) as file:
            return bool(file.pages.first.samplesperpixel == 1)
    with _opened(path, decode=False) as image:
        return image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) after EXIF orientation, from the header alone where the format allows.

    Raises:
        ImageError: the file is missing, empty or no image.
    """
    if path.suffix.lower() in _TIFF:
        height, width = _read_tiff(path).shape[:2]
        return height, width
    with _opened(path, decode=False) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def resize_image(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """(H, W, 3) → (height, width, 3): bilinear, averaging over areas where it shrinks so that nothing aliases."""
    if pixels.shape[:2] == size:
        return pixels
    shrinks = pixels.shape[0] > size[0] and pixels.shape[1] > size[1]
    resized = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def resize_mask(mask: Pixels, size: tuple[int, int]) -> Pixels:
    """(H, W) → (height, width), nearest neighbour: no class is invented."""
    if mask.shape == size:
        return mask
    return np.asarray(cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)


def normalise_red(pixels: Pixels) -> Pixels:
    """Replace red by R' = R / sqrt(R² + G² + B²), as 0..255 (Thanh et al. 2019; S4MI section 3.3); black stays 0."""
    colours = pixels.astype(np.float32)
    norm = np.sqrt(np.square(colours).sum(axis=2))
    red = np.divide(colours[:, :, 0], norm, out=np.zeros_like(norm), where=norm > 0)
    result = pixels.copy()
    result[:, :, 0] = np.rint(255.0 * red).astype(np.uint8)
    return result


@dataclass(frozen=True)
class Grid:
    """How a page of `height` × `width` pixels is covered by square tiles, the last ones padded with black.

    S4MI section 3.3.1: a 1408×1876 page and tiles of 480 give 3 × 4 tiles.
    """

    height: int
    width: int
    tile: int

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of every tile, row by row."""
        return tuple(
            (top, left) for top in range(0, self.height, self.tile) for left in range(0, self.width, self.tile)
        )

    def cut(self, page: Pixels, corner: tuple[int, int], *, fill: int = 0) -> Pixels:
        """The tile of `page` at `corner`: (tile, tile) or (tile, tile, C), padded with `fill`."""
        top, left = corner
        piece = page[top : top + self.tile, left : left + self.tile]
        if piece.shape[:2] == (self.tile, self.tile):
            return piece
        padded = np.full((self.tile, self.tile, *page.shape[2:]), fill, dtype=np.uint8)
        padded[: piece.shape[0], : piece.shape[1]] = piece
        return padded

    def stitch(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K, tile, tile) in the order of `corners` → (K, height, width); the padding falls away."""
        page = np.zeros((tiles.shape[1], self.height, self.width), dtype=np.float32)
        for (top, left), tile in zip(self.corners, tiles, strict=True):
            bottom, right = min(top + self.tile, self.height), min(left + self.tile, self.width)
            page[:, top:bottom, left:right] = tile[:, : bottom - top, : right - left]
        return page


def to_uint8(values: NDArray[np.generic]) -> Pixels:
    """Map any numeric image to uint8: as it is when uint8, 0/255 when boolean, else stretched between percentiles."""
    if values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    if values.dtype == np.bool_:
        return np.where(values, 255, 0).astype(np.uint8)
    numbers = np.asarray(values, dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    if finite.size == 0:
        raise ImageError("undecodable", "holds no finite pixel; export it again")
    low, high = np.percentile(finite, (0.1, 99.9))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    scale = 255.0 / (high - low) if high > low else 0.0
    stretched = np.clip((np.nan_to_num(numbers, nan=low) - low) * scale, 0, 255)
    return np.asarray(np.rint(stretched), dtype=np.uint8)


def _distinct(values: Pixels) -> tuple[int, ...]:
    return tuple(int(value) for value in np.flatnonzero(np.bincount(values.ravel(), minlength=256)))


def _mask_pixels(path: Path) -> Pixels:
    if path.suffix.lower() in _TIFF:
        values = np.asarray(_read_tiff(path))
    else:
        with _opened(path) as image:
            plain = image.mode in ("1", "L", "P", "F") or image.mode.startswith("I")
            values = np.asarray(image if plain else image.convert("RGB"))
    if values.dtype != np.bool_ and not (
        np.issubdtype(values.dtype, np.integer) and values.min() >= 0 and values.max() <= 255
    ):
        message = f"is of type {values.dtype} where a mask holds whole numbers from 0 to 255; re-export it"
        if np.issubdtype(values.dtype, np.integer):
            message = f"holds values up to {values.max()} where a mask holds 0 to 255; re-export it with small numbers"
        raise ImageError("bad-mask", message)
    if values.ndim == 3:
        if (values[:, :, :1] != values[:, :, :3]).any():
            raise ImageError("bad-mask", "is a colour image; re-export the mask with one number per class")
        values = values[:, :, 0]
    return np.asarray(values, dtype=np.uint8)


def _read_pixels(path: Path) -> Pixels:
    if path.suffix.lower() in _TIFF:
        return to_uint8(_read_tiff(path))
    with _opened(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "F" or upright.mode.startswith("I"):
            return to_uint8(np.asarray(upright))
        return np.asarray(upright.convert("L" if upright.mode in ("L", "1", "LA") else "RGB"))


@contextmanager
def _opened(path: Path, *, decode: bool = True) -> Iterator[Image.Image]:
    """A PIL image; whatever goes wrong in opening or decoding it becomes one line."""
    with ExitStack() as files, _explained(path):
        image = files.enter_context(Image.open(path))
        if decode:
            image.load()
        yield image


@contextmanager
def _opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    with _explained(path), tifffile.TiffFile(path) as file:
        yield file


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        if path.stat().st_size == 0:
            raise ImageError("empty-file", "is an empty file (0 bytes); copy it again from its source")
        yield
    except S4miError:
        raise
    except FileNotFoundError as error:
        raise ImageError("missing-file", "is not there; mend its path") from error
    except UnidentifiedImageError as error:
        raise ImageError("not-an-image", "is not an image; remove it or convert it to PNG, JPEG or TIFF") from error
    except Image.DecompressionBombError as error:
        raise ImageError("too-large", f"is too large ({error}); cut it into tiles first") from error
    except tifffile.TiffFileError as error:
        raise ImageError("not-an-image", "is not a TIFF file; give it the ending of its true format") from error
    except Exception as error:  # a broken file makes PIL, tifffile and their codecs raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError("undecodable", f"cannot be decoded ({reason}); copy it again from its source") from error


def _read_tiff(path: Path) -> NDArray[np.generic]:
    with _opened_tiff(path) as file:
        page = file.pages.first.asarray()
    if page.ndim == 3 and page.shape[0] in (3, 4) and page.shape[2] not in (3, 4):
        page = np.moveaxis(page, 0, 2)
    if page.ndim not in (2, 3) or (page.ndim == 3 and page.shape[2] not in (1, 3, 4)):
        message = f"has the shape {page.shape} where one grey or RGB page is wanted; import it as a stack"
        raise ImageError("undecodable", message)
    return page[:, :, 0] if page.ndim == 3 and page.shape[2] == 1 else page
