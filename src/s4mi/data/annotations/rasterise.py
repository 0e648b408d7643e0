"""Convert regions or mask files to the mask of an image, with checks against the image and the data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s4mi.data.annotations.contours import fill, fill_rings
from s4mi.data.annotations.json_fields import FieldError, points_of
from s4mi.data.annotations.types import AnnotatedRegion, Annotation
from s4mi.data.files import read_header
from s4mi.data.formats import dicom, dicom_seg
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import image_size
from s4mi.data.masks import mask_file_values, read_mask
from s4mi.data.row import Row
from s4mi.data.spec import DatasetSpec, MaskKey
from s4mi.errors import S4miError, nearest


class RasteriseError(S4miError):
    """An annotation does not match the size of its image or the classes of the data set."""


class Rasteriser:
    """Creates masks of class indices for a data set."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec

    @staticmethod
    def codes(files: Sequence[Path]) -> set[MaskKey]:
        """Collect the pixel values or colours of mask files.

        Raises:
            S4miError: a file cannot be read.
        """
        found: set[MaskKey] = set()
        for file in files:
            try:
                found.update(mask_file_values(file))
            except ImageError as error:
                raise S4miError(f"{file}: {error}") from error
        return found

    def read(self, mask: Path) -> Pixels:
        """Read a mask file as (H, W) class indices.

        Raises:
            RasteriseError: it cannot be read, or contains values that are not in `mask_values`.
        """
        try:
            return read_mask(mask, self._spec.mask_values)
        except ImageError as error:
            raise RasteriseError(f"mask {mask.name!r} {error}") from error

    def rasterise(self, annotation: Annotation, row: Row, *, empty: bool) -> Pixels | None:
        """Return the (H, W) mask of an annotation, or None if it has no mask; later regions cover earlier ones.

        Args:
            empty: whether an annotation without regions means background only.

        Raises:
            RasteriseError: its size differs from that of the image, or a class is unknown.
        """
        if annotation.mask is not None:
            self._check_frames(annotation.mask)
            mask = self.read(annotation.mask)
            self._check_size((mask.shape[0], mask.shape[1]), row, subject=f"mask {annotation.mask.name!r}")
            return mask
        if not self._spec.mask_values or (annotation.regions is None and not (empty and annotation.labels is None)):
            if annotation.regions:
                raise RasteriseError("has regions, but the data set has no `mask_values`; add them to dataset.yaml")
            return None
        size = self._check_size(annotation.size, row, subject="annotated image")
        mask = np.zeros(size, dtype=np.uint8)
        for region in annotation.regions or ():
            index = self._index(region.name)
            mask[self._area(region, size)] = index
        return mask

    @staticmethod
    def _area(region: AnnotatedRegion, size: tuple[int, int]) -> NDArray[np.bool_]:
        if region.mask is not None:
            return region.mask
        if region.rings is None:
            return fill(region.points, size)  # type: ignore[arg-type]
        try:
            return fill_rings([points_of(ring.tolist(), size, location="region") for ring in region.rings], size)
        except FieldError as error:
            raise RasteriseError(str(error)) from error

    def _index(self, name: str) -> int:
        classes = self._spec.mask_classes
        if name not in classes:
            hint = nearest(name, classes) or "; rename it, or add it to `mask_values` in dataset.yaml"
            raise RasteriseError(f"unknown class {name!r} of a region (classes of masks: {', '.join(classes)}){hint}")
        return classes.index(name)

    @staticmethod
    def _check_frames(mask: Path) -> None:
        """Refuse a mask of several frames, of which only the first would be read."""
        try:
            segmentation = dicom.is_dicom(mask) and dicom_seg.is_seg(mask)  # which is read as a whole
            count = 1 if segmentation else read_header(mask).frames
        except ImageError as error:
            raise RasteriseError(f"mask {mask.name!r} {error}") from error
        if count > 1:
            raise RasteriseError(
                f"mask {mask.name!r} has {count} frames, not one; save the mask of each image in a file of its own"
            )

    @staticmethod
    def _check_size(size: tuple[int, int] | None, row: Row, *, subject: str) -> tuple[int, int]:
        try:
            actual = image_size(row.image)
        except ImageError as error:
            raise RasteriseError(f"image {row.image.name!r} {error}") from error
        if size is not None and size != actual:
            raise RasteriseError(
                f"{subject} is {size[0]}×{size[1]} but image {row.id!r} is {actual[0]}×{actual[1]}; "
                "export it at the size of the image"
            )
        return actual
