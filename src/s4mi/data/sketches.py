"""Normalised thumbnails in a byte per pixel, with a bound of their error: which pairs cannot be correlated enough.

    û = q / s ≈ u = x / |x|        q int8, s scale, e = |u - û| the error of the rounding
    u · v ≤ û · v̂ + e_u (1 + e_v) + e_v (1 + e_u) + e_u e_v

So of many candidates those whose bound is too low are left out, and no other; each image is read once for it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.banded_page import read_for
from s4mi.data.formats.intensity import Intensity
from s4mi.data.parallel import in_parallel, in_threads
from s4mi.data.sketch_table import PIXELS, Sketch, Sketches, unfilled
from s4mi.data.thumbnails import THUMBNAIL_SIZE, Thumbnails, normalised, thumbnail
from s4mi.errors import S4miError


def sketch(structure: NDArray[np.float64]) -> Sketch:
    """Sketch a thumbnail, given what `normalised` returns of it, (32, 32)."""
    x = structure.ravel()
    square = float(x @ x)
    if square == 0:
        return np.zeros(PIXELS, dtype=np.int8), 1.0, 0.0, 0.0
    u = x / np.sqrt(square)
    scale = 127 / float(np.abs(u).max())
    values = np.rint(u * scale).astype(np.int8)
    return values, scale, float(np.linalg.norm(u - values / scale)), square


def sketches_of(thumbnails: Thumbnails, numbers: Sequence[int]) -> Sketches:
    """Return the sketches of some images, read by all cores unless their thumbnails are kept, or they are at hand.

    An image that cannot be read stays unfilled, so that it is left to whoever reads it next.
    """
    if thumbnails.sketches is not None and thumbnails.sketches.at_hand:
        return thumbnails.sketches
    ordered = np.unique(np.asarray(numbers, dtype=np.int64))
    places = np.full(len(thumbnails), -1, dtype=np.int64)
    places[ordered] = np.arange(len(ordered))
    sketches = unfilled(len(ordered), places)
    files = {place: file for place, n in enumerate(ordered.tolist()) if (file := thumbnails.file(n)) is not None}
    kept = [place for place in range(len(ordered)) if place not in files]

    def of_kept(number: int) -> Sketch:
        return sketch(normalised(thumbnails.pixels(int(ordered[kept[number]]))))

    for chosen, found in (
        (list(files), in_parallel(_of_file, list(files.values()))), (kept, in_threads(of_kept, len(kept))),
    ):  # fmt: skip
        for place, one in zip(chosen, found, strict=True):
            if one is not None:
                sketches.put(place, one)
    return sketches


def _of_file(file: tuple[Path, Intensity]) -> Sketch | None:
    path, intensity = file
    try:
        return sketch(normalised(thumbnail(read_for(path, intensity, (THUMBNAIL_SIZE, THUMBNAIL_SIZE)))))
    except S4miError:
        return None
