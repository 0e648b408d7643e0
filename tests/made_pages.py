"""Small TIFF pages of every kind that can be read in bands of rows."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 301, 333  # no multiple of any tile or strip


def pixels(channels: int = 1, dtype: str = "uint8") -> np.ndarray[Any, Any]:
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) % 251
    shape = (HEIGHT, WIDTH, channels) if channels > 1 else (HEIGHT, WIDTH)
    noise = RNG.integers(0, 5, shape)
    values = smooth[:, :, None] + noise + 7 * np.arange(channels) if channels > 1 else smooth + noise
    scale = 200 if np.dtype(dtype).itemsize > 1 else 1
    return (values % 256 * scale).astype(dtype)


def written(path: Path, values: Any, **options: Any) -> None:
    tifffile.imwrite(path, values, metadata=None, **options)


def pillow(path: Path, values: np.ndarray[Any, Any], mode: str | None = None, **options: Any) -> None:
    Image.fromarray(values).convert(mode).save(path, **options) if mode else Image.fromarray(values).save(
        path, **options
    )


def jpeg_tiles(path: Path, *, photometric: int, channels: int) -> None:
    """Write a page of JPEG tiles, each encoded by Pillow: tifffile would need imagecodecs for it."""
    side, values = 64, pixels(channels)

    def encoded() -> Iterator[bytes]:
        for top in range(0, HEIGHT, side):
            for left in range(0, WIDTH, side):
                tile = np.zeros((side, side, *values.shape[2:]), dtype=np.uint8)
                part = values[top : top + side, left : left + side]
                tile[: part.shape[0], : part.shape[1]] = part
                file, keep = io.BytesIO(), {"keep_rgb": True} if photometric == 2 else {}
                Image.fromarray(tile).save(file, "JPEG", quality=80, subsampling=2 if photometric == 6 else 0, **keep)
                yield file.getvalue()

    subsampling = [(530, "H", 2, (2, 2), True)] if photometric == 6 else []
    written(path, encoded(), shape=values.shape, dtype=np.uint8, tile=(side, side), compression="zlib",
            photometric="rgb" if channels == 3 else "minisblack", extratags=subsampling)  # fmt: skip
    with tifffile.TiffFile(path, mode="r+") as file:
        page = file.pages.first
        page.tags[259].overwrite(7)
        page.tags[262].overwrite(photometric)


KINDS: dict[str, Callable[[Path], object]] = {
    "tiled grey": lambda path: written(path, pixels(), tile=(32, 48)),
    "tiled grey, deflate": lambda path: written(path, pixels(), tile=(64, 64), compression="zlib"),
    "tiled grey, deflate, predictor": lambda path: written(
        path, pixels(dtype="uint16"), tile=(64, 64), compression="zlib", predictor=True
    ),
    "tiled RGB": lambda path: written(path, pixels(3), tile=(32, 48), photometric="rgb"),
    "tiled RGBA": lambda path: written(
        path, pixels(4), tile=(32, 48), photometric="rgb", extrasamples=["unassalpha"], compression="zlib"
    ),
    "tiled grey with alpha": lambda path: written(
        path, pixels(2), tile=(32, 48), photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"
    ),
    "big-endian 16 bits": lambda path: written(path, pixels(dtype="uint16"), tile=(32, 32), byteorder=">"),
    "16-bit RGB, planes apart": lambda path: written(
        path,
        np.moveaxis(pixels(3, "uint16"), -1, 0),
        tile=(32, 48),
        photometric="rgb",
        planarconfig="separate",
        compression="zlib",
    ),
    "RGB in strips, planes apart": lambda path: written(
        path,
        np.moveaxis(pixels(3), -1, 0),
        rowsperstrip=7,
        photometric="rgb",
        planarconfig="separate",
        compression="zlib",
    ),
    "one strip per plane, uncompressed": lambda path: written(
        path, np.moveaxis(pixels(3), -1, 0), photometric="rgb", planarconfig="separate", rowsperstrip=HEIGHT
    ),
    "one uncompressed strip": lambda path: written(path, pixels(), rowsperstrip=HEIGHT),
    "strips, deflate": lambda path: written(path, pixels(3), rowsperstrip=16, compression="zlib", photometric="rgb"),
    "white is zero": lambda path: written(path, pixels(), tile=(32, 48), photometric="miniswhite", compression="zlib"),
    "white is zero, 12 of 16 bits": lambda path: written(
        path,
        pixels(dtype="uint16") % 4096,
        tile=(32, 48),
        photometric="miniswhite",
        compression="zlib",
        extratags=[(281, "H", 1, 4095, True)],
    ),
    "palette": lambda path: written(
        path,
        pixels(),
        tile=(32, 48),
        photometric="palette",
        compression="zlib",
        colormap=RNG.integers(0, 65536, (3, 256), dtype=np.uint16),
    ),
    "bilevel": lambda path: written(path, pixels() > 99, rowsperstrip=8, photometric="minisblack"),
    "float": lambda path: written(path, pixels(dtype="float32"), tile=(32, 48), compression="zlib"),
    "BigTIFF": lambda path: written(path, pixels(3), tile=(32, 48), photometric="rgb", bigtiff=True),
    "LZW by Pillow": lambda path: pillow(path, pixels(3), compression="tiff_lzw"),
    "LZW grey by Pillow": lambda path: pillow(path, pixels(), compression="tiff_lzw"),
    "PackBits by Pillow": lambda path: pillow(path, pixels(3), compression="packbits"),
    "CMYK by Pillow": lambda path: pillow(path, pixels(3), "CMYK", compression="tiff_lzw"),
    "JPEG strips by Pillow": lambda path: pillow(path, pixels(3), compression="jpeg"),
    "JPEG tiles, YCbCr": lambda path: jpeg_tiles(path, photometric=6, channels=3),
    "JPEG tiles, RGB": lambda path: jpeg_tiles(path, photometric=2, channels=3),
    "JPEG tiles, grey": lambda path: jpeg_tiles(path, photometric=1, channels=1),
}
