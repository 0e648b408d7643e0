"""What the decoder says of a file on its way is what reading the header alone says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s4mi.data.checks.looks import look_at
from s4mi.data.files import read_frames, read_header
from s4mi.data.formats.intensity import Intensity

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 14, 3), dtype=np.uint8)
COLOUR = Image.fromarray(PIXELS)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    COLOUR.save(path, exif=exif)


def animated(path: Path) -> None:
    COLOUR.save(path, save_all=True, append_images=[COLOUR.rotate(90 * k) for k in (1, 2)])


WRITERS: dict[str, Callable[[Path], None]] = {
    "colour.png": COLOUR.save,
    "grey.png": COLOUR.convert("L").save,
    "bits.png": COLOUR.convert("1").save,
    "palette.png": COLOUR.convert("P").save,
    "alpha.png": COLOUR.convert("RGBA").save,
    "deep.png": Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257).save,
    "turned.jpg": turned,
    "turned.png": turned,
    "photo.jpg": COLOUR.save,
    "lossless.webp": lambda path: COLOUR.save(path, lossless=True),
    "plain.bmp": COLOUR.save,
    "several.gif": animated,
    "grey.gif": COLOUR.convert("L").save,
}


@pytest.mark.parametrize("name", WRITERS)
def test_decoding_tells_the_same_header_as_reading_it_alone(tmp_path: Path, name: str) -> None:
    WRITERS[name](path := tmp_path / name)
    alone = read_header(path)
    frames = list(read_frames(path))
    assert len(frames) == alone.frames
    assert [frame.header for frame in frames] == [alone] * alone.frames
    assert {frame.values.shape[:2] for frame in frames} == {(alone.height, alone.width)}
    assert look_at(path, Intensity()).header == alone
