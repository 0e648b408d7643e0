"""The pixels of one TIFF page as viewers display them: white-is-zero inverted, CMYK, CIELAB and YCbCr as RGB, upright.

tifffile decodes greyscale, RGB and palettes of whole bytes or single bits with their full depth. Pillow decodes the
rest: other colour spaces, 2 and 4 bits, and compressions that tifffile cannot read without imagecodecs (extra `tiff`).
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC

from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.orientation import TAG, TRANSPOSED, is_turned, upright
from s4mi.data.formats.raster import pillow_errors

MAX_SAMPLE_VALUE = 281
GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MASK)
CONVERTED = (PHOTOMETRIC.SEPARATED, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB)
"""Colour spaces that Pillow converts to 8-bit RGB."""
PILLOWS = (
    COMPRESSION.NONE, COMPRESSION.LZW, COMPRESSION.JPEG, COMPRESSION.ADOBE_DEFLATE, COMPRESSION.CCITT_T4,
    COMPRESSION.CCITT_T6, COMPRESSION.PACKBITS,
)  # fmt: skip
"""Compressions that Pillow reads, so that an error in their decoding is a broken file."""
ALPHA = (1, 2)
"""Extra samples that are transparency, associated or not; 0 is anything else."""


def orientation(page: tifffile.TiffPage) -> int:
    """Return the orientation of the stored rows and columns, 1 if the page has none or an invalid one."""
    tag = page.tags.get(TAG)
    value = tag.value if tag is not None else 1
    return value if isinstance(value, int) and is_turned(value) else 1


def size(page: tifffile.TiffPage) -> tuple[int, int]:
    """Return (height, width) of the upright page."""
    stored = (page.imagelength, page.imagewidth)
    return stored[::-1] if is_transposed(page) else stored


def is_transposed(page: tifffile.TiffPage) -> bool:
    """Whether the orientation exchanges the rows and columns of the page."""
    return orientation(page) in TRANSPOSED


def channels(page: tifffile.TiffPage) -> int:
    """Return the number of channels of the displayed page; palettes count as 3."""
    is_colour = page.photometric in (*CONVERTED, PHOTOMETRIC.PALETTE)
    return 3 if is_colour else page.samplesperpixel


def dtype(page: tifffile.TiffPage) -> str:
    """Return the NumPy name of the data type of the displayed page."""
    is_colour = page.photometric in (*CONVERTED, PHOTOMETRIC.PALETTE)
    return "uint8" if is_colour else str(page.dtype)


def pixels(page: tifffile.TiffPage, path: Path | BinaryIO) -> NDArray[Any]:
    """Decode a page of one plane: (H, W) grey or palette indices, or (H, W, C) colours, upright.

    Raises:
        ImageError: no installed package decodes the page, or its samples are neither grey nor colours.
    """
    if page.photometric in CONVERTED:
        _check_subsampling(page)
        return _through_pillow(page, path)
    if page.photometric not in (*GREY, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE):
        kind = getattr(page.photometric, "name", page.photometric)
        raise ImageError("undecodable", f"has the colour space {kind}, which is not supported; convert it to RGB")
    if page.photometric in GREY and page.bitspersample in (2, 4):
        return _through_pillow(page, path)  # stretched to 0..255, as in a PNG of these depths
    try:
        stored = page.asarray()
    except (ValueError, ImportError, NotImplementedError) as error:
        if isinstance(error, ValueError) and "imagecodecs" not in str(error):
            raise
        return _through_pillow(page, path)
    return displayed(stored, page)


def displayed(stored: NDArray[Any], page: tifffile.TiffPage) -> NDArray[Any]:
    """Convert one stored plane of grey, RGB or palette indices to what is displayed.

    Raises:
        ImageError: the samples are neither grey nor colours, or floating-point numbers in which white is zero.
    """
    if stored.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        stored = np.moveaxis(stored, 0, -1)
    samples = stored.shape[2] if stored.ndim == 3 else 1
    if page.photometric != PHOTOMETRIC.RGB and samples == 2 and int(page.extrasamples[0]) in ALPHA:
        stored = stored[:, :, 0]
    elif samples not in (1, 3, 4) or (samples == 4 and page.photometric in GREY):
        raise ImageError(
            "undecodable", f"has {samples} samples per pixel that are not colours; save each as a page of its own"
        )
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        stored = inverted(stored, significant_bits(page))
    return upright(stored, orientation(page))


def significant_bits(page: tifffile.TiffPage) -> int:
    """Return the bits of the range of a page, by its MaxSampleValue if that says fewer than are stored.

    Cameras of 12 bits store 16, of which black and white are 0 and 4095.
    """
    tag = page.tags.get(MAX_SAMPLE_VALUE)
    most = tag.value if tag is not None and isinstance(tag.value, int) else 0
    fits = most > 0 and most & (most + 1) == 0 and most.bit_length() <= page.bitspersample
    return most.bit_length() if fits else int(page.bitspersample)


def inverted(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Exchange black and white within the range of the given number of bits.

    Raises:
        ImageError: the values are floating-point numbers, which have no range.
    """
    if values.dtype.kind == "f":
        raise ImageError("undecodable", "holds floating-point numbers in which white is zero; save it as black is zero")
    return ~values if values.dtype.kind != "u" else np.asarray(2**bits - 1 - values, dtype=values.dtype)


def _through_pillow(page: tifffile.TiffPage, path: Path | BinaryIO) -> NDArray[Any]:
    """Decode a page with Pillow, which inverts white-is-zero up to 8 bits and turns the page upright by itself."""
    try:
        with pillow_errors(), Image.open(path, formats=["TIFF"]) as image:
            image.seek(page.index)
            image.load()
            if page.photometric in CONVERTED:
                return np.asarray(image.convert("RGB"))
            values = np.asarray(image.getchannel(0) if image.mode in ("LA", "La", "PA") else image)
            inverse = page.photometric == PHOTOMETRIC.MINISWHITE and image.mode not in ("1", "L")
    except ImageError as error:
        if error.code != "not-an-image":
            raise
        raise _unsupported(page) from error
    except (OSError, ValueError, SyntaxError) as error:
        if find_spec("imagecodecs") is not None or page.compression in PILLOWS:
            raise
        raise _unsupported(page) from error
    if (
        page.dtype is None or page.dtype.itemsize > values.dtype.itemsize
    ):  # colours of 16 bits, which Pillow reduces to 8
        raise _unsupported(page)
    values = values.astype(page.dtype)
    return inverted(values, significant_bits(page)) if inverse else values


def _check_subsampling(page: tifffile.TiffPage) -> None:
    """Refuse uncompressed subsampled chroma, which Pillow would read as if it had full resolution."""
    tag = page.tags.get("YCbCrSubSampling")
    if page.photometric == PHOTOMETRIC.YCBCR and page.compression == 1 and tag is not None and tag.value != (1, 1):
        raise _unsupported(page)


def _unsupported(page: tifffile.TiffPage) -> ImageError:
    compression = getattr(page.compression, "name", page.compression)
    kind = f"{compression} compression with {page.bitspersample} bits of {getattr(page.photometric, 'name', '?')}"
    if page.photometric in CONVERTED or find_spec("imagecodecs") is not None:
        return ImageError("undecodable", f"has {kind}, which is not supported; save it as uncompressed 8-bit RGB")
    hint = "pip install 's4mi[tiff]', or save it uncompressed"
    return ImageError("undecodable", f"has {kind}, which needs another package; {hint}")
