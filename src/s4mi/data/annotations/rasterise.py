"""From annotations of regions or mask files to the mask of an image, checked against the image and the data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s4mi.data.annotations.contours import fill
from s4mi.data.annotations.types import Annotation
from s4mi.data.formats.frame import ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.data.images import image_size
from s4mi.data.manifest import Row
from s4mi.data.masks import mask_file_values, read_mask
from s4mi.data.spec import DatasetSpec, MaskKey
from s4mi.errors import S4miError, nearest


class RasteriseError(S4miError):
    """An annotation does not fit its image or the data set's classes."""


class Rasteriser:
    """Makes masks of class positions for a data set."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec

    @staticmethod
    def codes(files: Sequence[Path]) -> set[MaskKey]:
        """Every value or colour in mask files.

        Raises:
            S4miError: one cannot be read.
        """
        found: set[MaskKey] = set()
        for file in files:
            try:
                found.update(mask_file_values(file))
            except ImageError as error:
                raise S4miError(f"{file}: {error}") from error
        return found

    def read(self, mask: Path) -> Pixels:
        """A mask file as class positions.

        Raises:
            PaintError: it cannot be read, or holds what the data set has no name for.
        """
        try:
            return read_mask(mask, self._spec.mask_values)
        except ImageError as error:
            raise RasteriseError(f"mask {mask.name!r} {error}") from error

    def paint(self, one: Annotation, row: Row, *, empty: bool) -> Pixels | None:
        """The (H, W) mask that an annotation comes to, or None where it says nothing of pixels; later regions cover.

        Args:
            empty: an annotation without regions says that everything is background.

        Raises:
            PaintError: it is of another size than the image, or of classes that the data set does not have.
        """
        if one.mask is not None:
            mask = self.read(one.mask)
            self._check_size((mask.shape[0], mask.shape[1]), row, what=f"mask {one.mask.name!r}")
            return mask
        if not self._spec.mask_values or (one.regions is None and not (empty and one.labels is None)):
            if one.regions:
                raise RasteriseError("has regions, but the data set has no masks and no `mask_values`")
            return None
        size = self._check_size(one.size, row, what="what it was drawn on")
        mask = np.zeros(size, dtype=np.uint8)
        for region in one.regions or ():
            index = self._index(region.name)
            inside = region.mask if region.mask is not None else fill(region.points, size)  # type: ignore[arg-type]
            mask[inside] = index
        return mask

    def _index(self, name: str) -> int:
        classes = self._spec.mask_classes
        if name not in classes:
            hint = nearest(name, classes) or "; rename it, or add it to `mask_values` in dataset.yaml"
            raise RasteriseError(f"region {name!r} is no class of the masks ({', '.join(classes)}){hint}")
        return classes.index(name)

    @staticmethod
    def _check_size(size: tuple[int, int] | None, row: Row, *, what: str) -> tuple[int, int]:
        try:
            actual = image_size(row.image)
        except ImageError as error:
            raise RasteriseError(f"image {row.image.name!r} {error}") from error
        if size is not None and size != actual:
            raise RasteriseError(
                f"{what} is {size[0]}×{size[1]}, but image {row.id!r} is {actual[0]}×{actual[1]}; "
                "export it at the image's size"
            )
        return actual
