"""Images as callers pass them: arrays, files, folders, data sets, or lists of these."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from s4mi.api.inputs import StrPath, as_path
from s4mi.errors import S4miError
from s4mi.system_errors import system_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from s4mi.data.formats.intensity import Intensity, Pixels
    from s4mi.inference.image_list import InputImage
    from s4mi.records import Part
    from s4mi.training.run_dir import RunDir

    Image = StrPath | NDArray[Any]
    """An array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), a file, a folder, or the folder of a data set."""
    Images = Image | Iterable[Image]
    """One image or several."""


@system_errors()
def list_images(images: "Images", runs: Sequence[Path], part: "Part | None") -> "tuple[list[InputImage], bool]":
    """Every image in order, and whether one was passed that is one: an array, or a file that holds one picture.

    Args:
        runs: folders of the runs whose splits define `part`.
        part: for data sets, the images in this part; None for all.

    Raises:
        S4miError: a path does not exist, holds no images, or an array is not an image.
    """
    if _is_array(images) or isinstance(images, str | os.PathLike):
        found = list(_found([cast("Image", images)], runs, part))
        folder = not _is_array(images) and as_path(cast("StrPath", images)).is_dir()
        return found, len(found) == 1 and found[0].frame_count == 1 and not folder
    if not isinstance(images, Iterable):
        raise S4miError(
            f"expected an image array, a path, or a list of these, got {type(images).__name__}; "
            "convert other images with numpy.asarray"
        )
    several = list(images)
    for number, image in enumerate(several):
        if not (_is_array(image) or isinstance(image, str | os.PathLike)):
            raise S4miError(
                f"image {number}: expected an array or a path, got {type(image).__name__}; "
                "convert other images with numpy.asarray"
            )
    return list(_found(several, runs, part)), False


def check_array(array: "NDArray[Any]", name: str) -> "NDArray[Any]":
    """An image in memory as (H, W), (H, W, 3) or (H, W, 4).

    Args:
        name: what messages call it.

    Raises:
        S4miError: its shape or type is not that of an image, or it holds NaN or infinity.
    """
    import numpy as np

    shape = "×".join(map(str, array.shape)) or "scalar"
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        raise S4miError(f"{name}: channels come first ({shape}); move them last: numpy.moveaxis(image, 0, -1)")
    if array.ndim == 4:
        raise S4miError(f"{name}: a stack of images ({shape}) is passed as a list of images: list(stack)")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise S4miError(f"{name}: not the shape of an image ({shape}); pass (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    if array.dtype.kind not in "biuf":
        raise S4miError(f"{name}: not numbers of an image ({array.dtype}); pass uint8, uint16 or float32")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise S4miError(f"{name}: holds NaN or infinity; replace them, e.g. with numpy.nan_to_num")
    return array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array


def read_pixels(image: "Image", rule: "Intensity") -> "Pixels":
    """(H, W, 3) uint8 RGB of one image, an array or a file, its numbers mapped to 0–255 by `rule`.

    Raises:
        S4miError: it cannot be read, or is not an image.
    """
    from s4mi.inference.pipeline import read_input

    found, single = list_images(image, (), None)
    if not single:
        raise S4miError(f"{image}: holds {len(found)} images; pass one of them")
    try:
        return read_input(found[0], rule)[0]
    except S4miError as error:
        raise S4miError(f"{found[0].source.path}: {error}") from error


def _found(images: "Sequence[Image]", runs: Sequence[Path], part: "Part | None") -> "Iterator[InputImage]":
    """The images, those of files that follow each other found together, so that equal names are told apart."""
    from s4mi.inference.dataset_images import is_data_set
    from s4mi.inference.image_list import find_inputs

    def kind(numbered: "tuple[int, Image]") -> str:
        number, image = numbered
        if _is_array(image):
            return "array"
        return f"data set {number}" if is_data_set(as_path(cast("StrPath", image))) else "files"

    owners = _run_dirs(runs) if part is not None else ()
    for what, group in groupby(enumerate(images), key=kind):
        if what == "array":
            yield from (_in_memory(cast("NDArray[Any]", image), number) for number, image in group)
        else:
            yield from find_inputs([as_path(cast("StrPath", image)) for _, image in group], owners, part)


def _run_dirs(runs: Sequence[Path]) -> "list[RunDir]":
    """None of an exported model, which needs no torch."""
    if not runs:
        return []
    from s4mi.training.run_dir import RunDir

    return [RunDir(run) for run in runs]


def _in_memory(array: "NDArray[Any]", number: int) -> "InputImage":
    from s4mi.inference.dataset_images import DatasetImage
    from s4mi.inference.image_list import InputImage

    name = f"image {number}"
    asked = InputImage(name, name, DatasetImage(Path(name), name))
    return replace(asked, values=check_array(array, name))


def _is_array(image: object) -> bool:
    import numpy as np

    return isinstance(image, np.ndarray)
