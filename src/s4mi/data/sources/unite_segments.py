"""Unite several segmentations of one image whose segments have names: 3D Slicer's, and DICOM's."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from s4mi.data.formats.frame import Frame
from s4mi.data.sources.compose_masks import MaskConflictError, unite


def unite_masks(frames: Mapping[Path, Frame], segments: Sequence[str]) -> Frame:
    """Return the union of the masks of one image, by file; those of named segments if there are `segments`.

    Raises:
        MaskConflictError: they contradict each other.
    """
    if len(frames) == 1:
        return next(iter(frames.values()))
    return unite_segments(frames, segments) if segments else unite(frames)


def unite_segments(frames: Mapping[Path, Frame], names: Sequence[str]) -> Frame:
    """Return the union of masks (H, W) whose values are positions among `names`, counted from 1.

    Raises:
        MaskConflictError: their sizes differ, or two of them have different segments at one pixel.
    """
    first, *others = frames
    united, source = np.array(frames[first].values), np.zeros(frames[first].values.shape, dtype=np.int64)
    for number, path in enumerate(others, start=1):
        values = np.asarray(frames[path].values)
        if values.shape != united.shape:
            sizes = ["×".join(map(str, shape)) for shape in (values.shape, united.shape)]
            raise MaskConflictError("bad-mask", f"{path.name!r} is {sizes[0]}, but {first.name!r} {sizes[1]} pixels")
        conflict = (values != 0) & (united != 0) & (values != united)
        if conflict.any():
            row, column = np.argwhere(conflict)[0].tolist()
            other = [first, *others][source[row, column]]
            raise MaskConflictError(
                "bad-mask",
                f"{path.name!r} has {names[values[row, column] - 1]!r} at row {row}, column {column}, where "
                f"{other.name!r} has {names[united[row, column] - 1]!r} ({int(conflict.sum())} such pixels); keep one "
                "of them, or use --mask-nonzero NAME if all are one class",
            )
        source[(united == 0) & (values != 0)] = number
        united[values != 0] = values[values != 0]
    return Frame(united)
