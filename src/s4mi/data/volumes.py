"""Every page, frame or slice of a file, as it would have been imported."""

from pathlib import Path

import numpy as np

from s4mi.data.files import read_frames, read_header, suffix_of
from s4mi.data.formats import arrays, dicom, nifti, tiff
from s4mi.data.formats.frame import Frame, ImageError
from s4mi.data.formats.intensity import SAMPLED, Intensity, Pixels
from s4mi.data.images import as_rgb
from s4mi.errors import S4miError

_SEVERAL = (*tiff.SUFFIXES, *arrays.SUFFIXES, *nifti.SUFFIXES, *dicom.SUFFIXES)


def count_frames(path: Path) -> int:
    """How many pictures a file holds, from its header alone; 1 of one that cannot be read, as reading will tell."""
    if suffix_of(path) not in _SEVERAL and not dicom.is_nameless(path):
        return 1
    try:
        return read_header(path).frames
    except S4miError:
        return 1


def read_pictures(path: Path, intensity: Intensity) -> list[Pixels]:
    """(H, W, 3) of every page, frame or slice; one pair of limits for all, so that slices of a volume compare.

    Raises:
        ImageError: the file is missing, empty, truncated or no image.
    """
    frames = list(read_frames(path))
    if not frames:
        raise ImageError("undecodable", "holds no picture; copy it again from its source")
    limits = _limits(frames, intensity)
    return [as_rgb(intensity.to_uint8(frame.values, frame.window, limits=limits)) for frame in frames]


def _limits(frames: list[Frame], intensity: Intensity) -> tuple[float, float] | None:
    """Values that become 0 and 255 in every frame alike, from a sample of all; None where each has its own."""
    first = frames[0]
    if len(frames) < 2 or intensity.kind != "percentiles" or first.window is not None:
        return None
    if first.values.dtype in (np.uint8, np.bool_):
        return None
    stride = max(1, first.values.size * len(frames) // SAMPLED)
    return intensity.limits(np.concatenate([frame.values.reshape(-1)[::stride] for frame in frames]))
