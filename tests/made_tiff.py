"""TIFF files that neither Pillow nor tifffile writes: grey of any bit depth, packed, with any tags."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def pack(values: np.ndarray, bits: int) -> bytes:
    """Pack (H, W) values of `bits` bits each into rows of whole bytes, the highest bit first."""
    planes = (values[:, :, None].astype(np.uint16) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(planes.reshape(len(values), -1), axis=1).tobytes()


def write_tiff(
    path: Path, data: bytes, size: tuple[int, int], bits: int, tags: Mapping[int, int | tuple[int, int]]
) -> None:
    """Write one uncompressed strip of (height, width) with tags of 16 bits, e.g. 262 for the photometric."""
    entries = {256: size[1], 257: size[0], 258: bits, 259: 1, 262: 1, 277: 1, 278: size[0], **tags}
    offset = 8 + 2 + 12 * (len(entries) + 2) + 4
    pairs = {tag: value if isinstance(value, tuple) else (value,) for tag, value in entries.items()}
    fields = [(tag, 3, len(pair), struct.pack("<HH", *pair, *(0,) * (2 - len(pair)))) for tag, pair in pairs.items()]
    fields += [(273, 4, 1, struct.pack("<I", offset)), (279, 4, 1, struct.pack("<I", len(data)))]
    ifd = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in sorted(fields))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(fields)) + ifd + bytes(4) + data)
