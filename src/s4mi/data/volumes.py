"""Read all pages, frames or slices of a file, converted as by an import."""

from pathlib import Path

import numpy as np

from s4mi.data.files import read_frames
from s4mi.data.formats.frame import Frame, ImageError
from s4mi.data.formats.intensity import SAMPLED, Intensity, Pixels
from s4mi.data.images import as_rgb
from s4mi.data.series import Limits, sample_values


def read_rgb_frames(path: Path, intensity: Intensity, *, limits: Limits | None = None) -> list[Pixels]:
    """Return every page, frame or slice as (H, W, 3); all have the same limits, so that slices are comparable.

    Args:
        limits: limits of the series that the file belongs to; by default those of the file.

    Raises:
        ImageError: the file is missing, empty, truncated or not an image.
    """
    frames = list(read_frames(path))
    if not frames:
        raise ImageError("undecodable", "contains no image; copy it again from its source")
    limits = limits or _limits(frames, intensity)
    return [as_rgb(intensity.show(frame, limits=limits)) for frame in frames]


def _limits(frames: list[Frame], intensity: Intensity) -> tuple[float, float] | None:
    """Return the values that become 0 and 255 in all frames, from a sample of all; None if each frame has its own."""
    first = frames[0]
    if len(frames) < 2 or intensity.kind != "percentiles" or first.window is not None:
        return None
    if first.values.dtype in (np.uint8, np.bool_):
        return None
    stride = max(1, first.values.size * len(frames) // SAMPLED)
    values = sample_values(frames, stride=stride)
    return intensity.limits(np.concatenate(values)) if any(map(len, values)) else None
