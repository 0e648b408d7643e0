"""One intensity stretch for all DICOM files of a series, so that its slices can be compared like those of a volume."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import read_frames, read_header, suffix_of
from s4mi.data.formats import dicom
from s4mi.data.formats.dicom_series import read_source
from s4mi.data.formats.frame import Frame
from s4mi.data.formats.intensity import SAMPLED, Intensity
from s4mi.data.parallel import in_parallel
from s4mi.errors import S4miError

Limits = tuple[float, float]
"""The two values that become 0 and 255."""


def series_limits(files: Iterable[Path], intensity: Intensity) -> dict[Path, Limits]:
    """Return the limits of every DICOM file that shares its series with others of `files`, by the percentile rule.

    Files with a window of their own, and 8-bit images, need no limits and are left out, as are unreadable files.
    """
    if intensity.kind != "percentiles":
        return {}
    found = [path for path in dict.fromkeys(files) if suffix_of(path) in dicom.SUFFIXES or dicom.is_nameless(path)]
    by_series: dict[str, list[Path]] = defaultdict(list)
    for path, series in zip(found, in_parallel(_series_of, found), strict=True):
        if series is not None:
            by_series[series].append(path)
    limits: dict[Path, Limits] = {}
    for paths in by_series.values():
        if len(paths) > 1 and (shared := _limits_of_all(paths, intensity)) is not None:
            limits |= dict.fromkeys(paths, shared)
    return limits


def sample_values(frames: Sequence[Frame], *, stride: int) -> list[NDArray[Any]]:
    """Return every `stride`-th value of frames that have neither 8 bits nor a window, without padding."""
    return [
        frame.sample(stride)
        for frame in frames
        if frame.window is None and frame.values.dtype not in (np.uint8, np.bool_)
    ]


def _series_of(path: Path) -> str | None:
    try:
        return read_source(path).series
    except S4miError:  # decoding the pixels reports broken files
        return None


def _limits_of_all(paths: Sequence[Path], intensity: Intensity) -> Limits | None:
    try:
        sizes = [header.frames * header.height * header.width for header in map(read_header, paths)]
    except S4miError:
        return None
    work = partial(_sample, stride=max(1, sum(sizes) // SAMPLED))
    values = list(chain.from_iterable(in_parallel(work, paths)))
    return intensity.limits(np.concatenate(values)) if any(map(len, values)) else None


def _sample(path: Path, *, stride: int) -> list[NDArray[Any]]:
    try:
        return sample_values(list(read_frames(path)), stride=stride)
    except S4miError:
        return []
