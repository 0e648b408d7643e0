"""Large masks in bands of rows, as class indices."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from s4mi.data.banded_page import banded_page
from s4mi.data.formats import tiff
from s4mi.data.formats.frame import Frame, ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.data.masks import MAX_COLOURS, decode_mask, mask_codes, read_mask
from s4mi.data.spec import MaskKey

CHUNK = 512
"""Rows of a chunk in which two masks are compared."""


def mask_bands(path: Path, mask_values: Mapping[MaskKey, str]) -> Iterator[Pixels] | None:
    """Yield a large mask in bands of rows (h, W), as `read_mask`; None for a mask that is read at once.

    Raises:
        ImageError: while it is iterated over, as `read_mask`.
    """
    if banded_page(path) is None:
        return None
    return (decode_mask(Frame(values), mask_values) for values in tiff.bands(path, codes=True))


def large_mask_values(path: Path) -> tuple[MaskKey, ...] | None:
    """Return the codes of a large mask, as `mask_file_values`; None for a mask that is read at once.

    Raises:
        ImageError: the file cannot be read, or holds neither integers from 0 to 255 nor few colours.
    """
    if banded_page(path) is None:
        return None
    found: set[MaskKey] = set()
    for values in tiff.bands(path, codes=True):
        found.update(mask_codes(Frame(values)))
        if sum(isinstance(code, str) for code in found) > MAX_COLOURS:
            raise ImageError(
                "bad-mask",
                f"is a colour image (more than {MAX_COLOURS} colours); re-export the mask with one number or colour "
                "per class",
            )
    if any(isinstance(code, str) for code in found):  # bands without a colour have numbers
        return tuple(sorted(code if isinstance(code, str) else f"#{code:02x}{code:02x}{code:02x}" for code in found))
    return tuple(sorted(found, key=int))


def mask_chunks(path: Path, mask_values: Mapping[MaskKey, str]) -> Iterator[Pixels]:
    """Yield a mask of any size in chunks of `CHUNK` rows, as `read_mask`; the last has fewer.

    Raises:
        ImageError: as `read_mask`.
    """
    large = mask_bands(path, mask_values)
    kept: list[Pixels] = []
    for band in (read_mask(path, mask_values),) if large is None else large:
        kept.append(band)
        if sum(map(len, kept)) >= CHUNK:
            joined = np.concatenate(kept)
            whole = len(joined) // CHUNK * CHUNK
            yield from (joined[top : top + CHUNK] for top in range(0, whole, CHUNK))
            kept = [joined[whole:]] if whole < len(joined) else []
    if kept:
        yield np.concatenate(kept)
