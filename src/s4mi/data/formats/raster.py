"""PNG, JPEG, BMP, WebP and GIF, through Pillow; also the errors of Pillow."""

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from s4mi.data.formats.frame import Frame, Header, ImageError, image_errors
from s4mi.data.formats.orientation import TAG, TRANSPOSED, is_turned
from s4mi.data.formats.pixel_limit import check_pixels, max_pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
MULTI_FRAME = (".gif",)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION_CHUNKS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
"""Chunks of PNG files that hold an orientation, as EXIF, or as text that Pillow understands."""
CHANNELS = {"1": 1, "L": 1, "F": 1, "I": 1, "LA": 2, "La": 2, "PA": 4, "RGBA": 4, "RGBa": 4}


def header(path: Path) -> Header:
    """Return the header without decoding pixels.

    Raises:
        ImageError: the file is missing, empty or not an image.
    """
    with _open_image(path) as image:
        return _header(image)


def frames(path: Path) -> Iterator[Frame]:
    """Yield the image, (H, W) if greyscale, else (H, W, 3); alpha is dropped and the EXIF orientation applied.

    Of an animated GIF, every frame is yielded; of other animations, the first.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image.
    """
    with _open_image(path, decode=True) as image:
        found = _header(image)
        for number in range(found.frames):
            image.seek(number)
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "F" or upright.mode.startswith("I"):
                yield Frame(np.asarray(upright), header=found)
            else:
                grey = upright.mode in ("L", "1", "LA")
                yield Frame(np.asarray(upright.convert("L" if grey else "RGB")), header=found)


def codes(path: Path) -> Frame:
    """Return the values of a mask: (H, W) palette indices, 0 and 1 of a 1-bit image, else as in `frames`; upright.

    Masks in GIF files are colours, or greys: their writers order palettes as they like, in every file anew.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image.
    """
    with _open_image(path, decode=True) as image:
        upright = ImageOps.exif_transpose(image)
        palette = upright.mode == "P" and image.format != "GIF"
        plain = palette or upright.mode in ("1", "L", "F") or upright.mode.startswith("I")
        return Frame(np.asarray(upright if plain else upright.convert("L" if upright.mode == "LA" else "RGB")))


def _header(image: Image.Image) -> Header:
    width, height = image.size
    orientation = image.getexif().get(TAG, 1) if _may_be_turned(image) else 1
    if orientation in TRANSPOSED:
        width, height = height, width
    dtypes = {"1": "bool", "F": "float32", "I": "int32"}
    dtype = "uint16" if image.mode.startswith("I;16") else dtypes.get(image.mode, "uint8")
    channels = 1 if image.mode.startswith("I") else CHANNELS.get(image.mode, 3)
    return Header(_count(image), height, width, channels=channels, dtype=dtype, turned=is_turned(orientation))


def _may_be_turned(image: Image.Image) -> bool:
    """Whether a file may hold an orientation, by its chunks: Pillow decodes a whole PNG file to learn that."""
    file = getattr(image, "fp", None)  # of a file alone, which the types do not know
    if image.format != "PNG" or file is None:
        return True
    place = file.tell()
    try:
        file.seek(len(PNG_SIGNATURE))
        while len(start := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", start)
            if kind in ORIENTATION_CHUNKS:
                return True
            file.seek(length + 4, os.SEEK_CUR)
        return False
    finally:
        file.seek(place)


def _count(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format == "GIF" else 1


@contextmanager
def _open_image(path: Path, *, decode: bool = False) -> Iterator[Image.Image]:
    with ExitStack() as files, image_errors(path), pillow_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        Image.MAX_IMAGE_PIXELS = max_pixels() // 2  # Pillow refuses twice as many
        image = files.enter_context(Image.open(path))
        check_pixels(image.height, image.width)
        if decode:
            image.load()
        yield image


@contextmanager
def pillow_errors() -> Iterator[None]:
    """Convert the errors of files that Pillow does not recognise or considers too large to `ImageError`."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise ImageError("not-an-image", "is not an image; remove it or convert it to PNG, JPEG or TIFF") from error
    except Image.DecompressionBombError as error:
        raise ImageError("too-large", f"is too large ({error}); cut it into tiles first") from error
