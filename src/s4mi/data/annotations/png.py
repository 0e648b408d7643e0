"""Decode the PNG of a mask that an annotation tool wrote, and nothing else that Pillow could open or run."""

import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import Image


def load_png(source: Path | BinaryIO) -> Image.Image:
    """Return a PNG with its pixels.

    Raises:
        ValueError: it is none, damaged, or beyond Pillow's limit of pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=["PNG"]) as image:
                image.load()
                return image.copy()
    except Exception as error:  # Pillow raises almost any exception on broken files
        raise ValueError(" ".join(str(error).split())) from error
