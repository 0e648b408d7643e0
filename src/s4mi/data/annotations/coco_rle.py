"""Run lengths of COCO: columns from the left, each from the top, runs of 0 and 1 in turn, as numbers or as text.

The text is that of pycocotools: each number is the difference to the last but one, in characters of five bits, the
sixth says whether another follows. pycocotools decodes runs that do not add up to the image without an error and leaves
the rest of the mask undefined, so they are decoded and added up here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CONTINUES, _SIGN, _BITS = 0x20, 0x10, 0x1F
_LONGEST = 7
"""Most characters of a number, of 35 bits."""


def decode_runs(counts: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode run lengths into a mask (height, width).

    Raises:
        ValueError: they are neither numbers nor text, or do not add up to the size.
    """
    if isinstance(counts, str | bytes):
        runs = parse_counts(counts)
    elif isinstance(counts, Sequence) and all(isinstance(one, int) and not isinstance(one, bool) for one in counts):
        runs = list(counts)
    else:
        raise ValueError("its counts are neither whole numbers nor text")
    height, width = size
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError("its counts do not add up to the size of the image")
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def parse_counts(text: str | bytes) -> list[int]:
    """Return the run lengths in a text.

    Raises:
        ValueError: the text ends within a number, or has other characters than '0' to 'o'.
    """
    codes = np.frombuffer(text.encode("latin-1", "replace") if isinstance(text, str) else text, dtype=np.uint8)
    runs: list[int] = []
    number = shift = 0
    for code in codes.astype(np.int64) - 48:
        if not 0 <= code < 64 or shift >= 5 * _LONGEST:
            raise ValueError("its counts are not run lengths")
        number |= (int(code) & _BITS) << shift
        shift += 5
        if code & _CONTINUES:
            continue
        if code & _SIGN:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number = shift = 0
    if shift:
        raise ValueError("its counts end within a number")
    return runs
