"""Segmentations of 3D Slicer (`.seg.nrrd`), whose slices are merged into the images that an import took from a volume.

The slices are named as an import names them: `ct_000`, `ct_001` and so on of `ct.nrrd`; a single slice like its file.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from s4mi.data.annotations.json_fields import FieldError
from s4mi.data.annotations.types import AnnotatedRegion, Annotation
from s4mi.data.files import stem_of
from s4mi.data.formats import nrrd_seg
from s4mi.data.formats.frame import ImageError


def read_slicer(path: Path, location: str) -> Iterator[Annotation]:
    """Yield the annotation of each slice; without any voxel in a segment they are blank.

    Args:
        location: location of the file, for messages.

    Raises:
        FieldError: it cannot be read, or is cropped, so that it is unknown which slices it shows.
    """
    try:
        names = sorted({segment.name for segment in nrrd_seg.segments_of(path)})
        if nrrd_seg.is_cropped(path):
            raise FieldError("file: cropped; save it in the geometry of its image, or import both together")
        masks = [frame.values for frame in nrrd_seg.masks_of(path, names)]
    except ImageError as error:
        raise FieldError(f"file: {error}") from error
    stem, drawn = stem_of(path), any(mask.any() for mask in masks)
    for number, mask in enumerate(masks):
        regions = tuple(
            AnnotatedRegion(names[code - 1], mask=mask == code) for code in np.unique(mask).tolist() if code
        )
        yield Annotation(
            (f"{stem}_{number:03d}" if len(masks) > 1 else stem,), location, regions=regions if drawn else None,
            size=(mask.shape[0], mask.shape[1]), absent=f"{stem}_{len(masks):03d}",
        )  # fmt: skip
