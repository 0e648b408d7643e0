"""Run lengths as Label Studio stores what was painted with its brush: bits of runs of bytes (the format of rle-pack).

    32 bits   how many bytes
     5 bits   bits of a byte, less 1
    4 × 4     bits of a length, less 1, for each of four kinds of runs
    then      1, kind, length - 1, byte        a run
              0, kind, length - 1, byte, byte… so many bytes as they are

The bytes are those of an RGBA picture, of which the fourth of each pixel is the mask.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_WORD = 8
_LENGTHS = (3, 4, 8, 16)


def decode_brush(runs: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Bytes as the file has them → (height, width).

    Raises:
        ValueError: they are no such runs, or of an image of another size.
    """
    bits = _Bits(np.unpackbits(np.asarray(runs, dtype=np.uint8)))
    total, word = bits.take(32), bits.take(5) + 1
    if total != 4 * size[0] * size[1]:
        raise ValueError(f"holds {total} bytes where {size[0]}×{size[1]} pixels have {4 * size[0] * size[1]}")
    lengths = [bits.take(4) + 1 for _ in range(4)]
    values = np.zeros(total, dtype=np.uint8)
    at = 0
    while at < total:
        is_run, kind = bits.take(1), bits.take(2)
        end = at + 1 + bits.take(lengths[kind])
        if is_run:
            values[at:end] = bits.take(word)
        else:
            for position in range(at, min(end, total)):
                values[position] = bits.take(word)
        at = end
    return np.asarray(values.reshape(*size, 4)[:, :, 3] > 0)


def encode_brush(mask: NDArray[np.bool_]) -> list[int]:
    """(H, W) → bytes as the file has them."""
    flat = np.repeat(mask.ravel(), 4)
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    text = [f"{len(flat):032b}{_WORD - 1:05b}", *(f"{length - 1:04b}" for length in _LENGTHS)]
    for start, end in pairwise(ends):
        value = 255 if flat[start] else 0
        text += [f"1{kind:02b}{length - 1:0{_LENGTHS[kind]}b}{value:08b}" for kind, length in _split(end - start)]
    bits = "".join(text)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


def _split(length: int) -> Iterator[tuple[int, int]]:
    """Runs whose lengths fit the bits there are, with the kind of each."""
    longest = 1 << _LENGTHS[-1]
    while length:
        own = min(length, longest)
        yield next(kind for kind, bits in enumerate(_LENGTHS) if own <= 1 << bits), own
        length -= own


class _Bits:
    """Numbers of any width, one after the other."""

    def __init__(self, bits: NDArray[np.uint8]) -> None:
        self._bits, self._at = bits, 0

    def take(self, width: int) -> int:
        own = self._bits[self._at : self._at + width]
        if len(own) < width:
            raise ValueError("ends too early")
        self._at += width
        return int("".join(map(str, own.tolist())), 2)
