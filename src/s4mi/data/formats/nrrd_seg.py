"""Segmentations of 3D Slicer (`.seg.nrrd`) as masks, through pynrrd (extra `nrrd`).

    Segment0_Name:=Tumour   Segment0_LabelValue:=1   Segment0_Layer:=0

The label value of a segment is arbitrary and differs between files, so its name is its class. Segments that overlap are
in layers, of which older versions of Slicer have one for each segment. A segmentation may be cropped, in any order of
axes; its voxels are placed on the grid of its image.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s4mi.data.formats import nrrd
from s4mi.data.formats.frame import Frame, ImageError, image_errors
from s4mi.data.formats.grid import Grid
from s4mi.data.formats.intensity import Pixels

_FIELD = re.compile(rb"Segment(\d+)_(Name|LabelValue|Layer):=(.*)")


@dataclass(frozen=True)
class Segment:
    """A segment: its name, its value, and the layer that it is in."""

    name: str
    value: int
    layer: int


def is_segmentation(path: Path) -> bool:
    """Whether a file is a segmentation of 3D Slicer by its name."""
    return path.name.lower().endswith(nrrd.SEGMENTATION)


def segments_of(path: Path) -> tuple[Segment, ...]:
    """Return the segments in their order.

    Raises:
        ImageError: the file is missing or not NRRD, or a segment has no name or that of the background.
    """
    found: dict[int, dict[str, str]] = {}
    with image_errors(path):
        layout = nrrd.layout_of(nrrd.read_fields(path))
        with path.open("rb") as file:  # pynrrd drops all letters that are not ASCII
            for line in file:
                if not line.strip():
                    break
                if (match := _FIELD.fullmatch(line.strip())) is not None:
                    text = match[3].decode("utf-8", "replace").strip()
                    found.setdefault(int(match[1]), {})[match[2].decode()] = text
        segments = []
        for position, (number, fields) in enumerate(sorted(found.items())):
            name = fields.get("Name", "")
            if not name or name == "background":
                raise ImageError("bad-mask", f"names its segment {number} {name!r}; give it another name in Slicer")
            old = "LabelValue" not in fields  # one layer each
            layer = position if old and layout.other is not None else int(fields.get("Layer", 0))
            segments.append(Segment(name, int(fields.get("LabelValue", 1)), layer))
        if not segments:
            raise ImageError("bad-mask", "names no segment; save it from the module Segmentations of Slicer")
        return tuple(segments)


def slices_of(path: Path) -> tuple[int, int, int]:
    """Return number, height and width of its slices.

    Raises:
        ImageError: the file is missing, empty or not NRRD.
    """
    return nrrd.grid_of(path).slices


def is_cropped(path: Path) -> bool:
    """Whether it begins elsewhere than its image, as far as it says so.

    Raises:
        ImageError: the file is missing, empty or not NRRD.
    """
    with image_errors(path):
        offset = str(nrrd.read_fields(path).get("Segmentation_ReferenceImageExtentOffset", "0 0 0"))
        return any(number.strip("+-0.") for number in offset.split())


def masks_of(path: Path, names: Sequence[str], grid: Grid | None = None) -> Iterator[Frame]:
    """Yield the mask (H, W) of each slice: 0, or 1 + the position of the segment's name in `names`.

    Args:
        grid: grid of the image, on which the segmentation is placed; without it that of the segmentation.

    Raises:
        ImageError: it cannot be read, has segments that overlap, or does not fit the image.
    """
    segments = segments_of(path)
    with image_errors(path):
        layout = nrrd.layout_of(nrrd.read_fields(path))
        values = nrrd.read_volume(path, layout)
        layers = values[..., None] if layout.other is None else values
        codes: Pixels = np.zeros(layout.grid.shape, dtype=np.uint8)
        for segment in segments:
            if segment.layer >= layers.shape[-1]:
                raise ImageError(
                    "bad-mask", f"has no layer {segment.layer}, in which {segment.name!r} is; save it again"
                )
            inside = layers[..., segment.layer] == segment.value
            code = 1 + list(names).index(segment.name)
            if (inside & (codes != 0) & (codes != code)).any():
                message = (
                    f"has segments that overlap ({segment.name!r} one of them); in Slicer, let each voxel have one "
                    "segment and save it again"
                )
                raise ImageError("bad-mask", message)
            codes[inside] = code
        unnamed = layers[(codes == 0) & (layers != 0).any(axis=-1)]
        if unnamed.size:
            raise ImageError(
                "bad-mask", f"has voxels of the value {unnamed.max()} that no segment names; save it again"
            )
        grid = grid or layout.grid
        try:
            # Slicer writes a single voxel if no segment has any.
            empty = codes.shape == (1, 1, 1)
            placed = np.zeros(grid.shape, dtype=np.uint8) if empty else grid.place(codes, layout.grid)
        except ValueError as error:
            raise ImageError("bad-mask", f"{error}; save it in the geometry of its image") from error
        yield from map(Frame, grid.frames(placed))
