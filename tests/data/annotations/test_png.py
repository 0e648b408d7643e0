"""The PNG of a mask is decoded, and anything else is one kind of error."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from s4mi.data.annotations.png import load_png

PIXELS = np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind)
    return file.getvalue()


def test_a_png_is_decoded() -> None:
    assert np.array_equal(np.asarray(load_png(io.BytesIO(encoded("PNG")))), PIXELS)


@pytest.mark.parametrize("contents", [encoded("JPEG"), b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_nothing_but_png_is_opened(contents: bytes) -> None:
    with pytest.raises(ValueError, match="cannot identify image file"):
        load_png(io.BytesIO(contents))


def test_damaged_files_are_one_kind_of_error() -> None:
    rng, png, refused = random.Random(0), encoded("PNG"), 0
    for _ in range(500):
        data = bytearray(png)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            load_png(io.BytesIO(bytes(data)))
        except ValueError:
            refused += 1
    assert refused > 300
