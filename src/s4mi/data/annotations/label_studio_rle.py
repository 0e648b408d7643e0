"""Run-length encoding of brush strokes in Label Studio: a bit stream of runs of bytes (the format of rle-pack).

    32 bits   number of bytes
     5 bits   bits per byte, minus 1
    4 × 4     bits per length, minus 1, for each of four kinds of runs
    then      1, kind, length - 1, byte        one byte, repeated
              0, kind, length - 1, byte, byte… that many literal bytes

The bytes are those of an RGBA image, in which the alpha channel is the mask.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_BYTE_BITS = 8
_LENGTH_BITS = (3, 4, 8, 16)


def decode_brush(runs: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode the bytes of the file into a mask (height, width).

    Raises:
        ValueError: the bytes are not a valid encoding, or belong to an image of another size.
    """
    bits = _BitReader(np.unpackbits(np.asarray(runs, dtype=np.uint8)))
    total, word = bits.read(32), bits.read(5) + 1
    if total != 4 * size[0] * size[1]:
        raise ValueError(f"has {total} bytes, but {size[0]}×{size[1]} pixels need {4 * size[0] * size[1]}")
    lengths = [bits.read(4) + 1 for _ in range(4)]
    values = np.zeros(total, dtype=np.uint8)
    start = 0
    while start < total:
        is_run, kind = bits.read(1), bits.read(2)
        end = start + 1 + bits.read(lengths[kind])
        if is_run:
            values[start:end] = bits.read(word)
        else:
            for position in range(start, min(end, total)):
                values[position] = bits.read(word)
        start = end
    return np.asarray(values.reshape(*size, 4)[:, :, 3] > 0)


def encode_brush(mask: NDArray[np.bool_]) -> list[int]:
    """Encode a mask (H, W) as the bytes of the file."""
    flat = np.repeat(mask.ravel(), 4)
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    text = [f"{len(flat):032b}{_BYTE_BITS - 1:05b}", *(f"{length - 1:04b}" for length in _LENGTH_BITS)]
    for start, end in pairwise(ends):
        value = 255 if flat[start] else 0
        text += [f"1{kind:02b}{length - 1:0{_LENGTH_BITS[kind]}b}{value:08b}" for kind, length in _split(end - start)]
    bits = "".join(text)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def _split(length: int) -> Iterator[tuple[int, int]]:
    """Split a run into runs that fit the available bits, each with its kind."""
    longest = 1 << _LENGTH_BITS[-1]
    while length:
        part = min(length, longest)
        yield next(kind for kind, bits in enumerate(_LENGTH_BITS) if part <= 1 << bits), part
        length -= part


class _BitReader:
    """Reads consecutive integers of any bit width."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self._bits, self._position = bits, 0

    def read(self, width: int) -> int:
        taken = self._bits[self._position : self._position + width]
        if len(taken) < width:
            raise ValueError("ends too early")
        self._position += width
        return int("".join(map(str, taken.tolist())), 2)
