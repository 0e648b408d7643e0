"""A mask as a file: PNG, or the format of its image, so that it lies over it in any viewer.

png      a PNG a picture, with the values or colours of the data set's own masks
match    TIFF pages for TIFF, a NIfTI volume of the same affine for NIfTI, DICOM-SEG for DICOM, PNG for all others
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from s4mi.data.files import suffix_of
from s4mi.data.formats import dicom, nifti, tiff
from s4mi.data.formats.intensity import Pixels
from s4mi.data.masks import encode_mask
from s4mi.data.spec import MaskKey
from s4mi.recipes.answer_files.dicom_seg import write_dicom_seg
from s4mi.recipes.answer_files.nifti_mask import write_nifti_mask
from s4mi.recipes.answer_files.settings import MaskFormat
from s4mi.recipes.answers.asked import Asked


def mask_paths(asked: Asked, folder: Path, form: MaskFormat) -> tuple[Path, ...]:
    """The files that the masks of an image become."""
    ending = "" if form == "png" else _ending(asked.picture.path)
    if ending:
        return (folder / f"{asked.place}{ending}",)
    return tuple(folder / f"{place}.png" for place in asked.places)


def write_masks(
    asked: Asked,
    masks: Sequence[Pixels],
    paths: Sequence[Path],
    *,
    mask_values: Mapping[MaskKey, str],
    classes: Sequence[str],
    made_by: str,
) -> None:
    """Write the masks (H, W) of classes of an image's pictures to `paths`, each whole or not at all.

    Raises:
        S4miError: the format's package is not there, or the image lacks what its format wants of a mask.
    """
    ending = "".join(paths[0].name[len(Path(asked.place).name) :])
    if len(paths) == len(masks) and paths[0].suffix == ".png":
        for path, mask in zip(paths, masks, strict=True):
            save_png(encode_mask(mask, mask_values), path)
    elif ending == ".tif":
        coded = np.stack([encode_mask(mask, mask_values) for mask in masks])
        photometric = "rgb" if coded.ndim == 4 else "minisblack"
        whole(
            paths[0],
            lambda path: tifffile.imwrite(path, coded, photometric=photometric, compression="zlib", metadata=None),
        )
    elif ending == ".nii.gz":
        coded = np.stack([_numbers(mask, mask_values) for mask in masks])
        whole(paths[0], lambda path: write_nifti_mask(path, coded, asked.picture.path))
    else:
        stack = np.stack(masks)
        whole(paths[0], lambda path: write_dicom_seg(path, stack, asked.picture.path, classes=classes, made_by=made_by))


def save_png(picture: Pixels, path: Path) -> None:
    """Write (H, W) or (H, W, 3) as PNG, whole or not at all."""
    whole(path, lambda place: Image.fromarray(picture).save(place, format="PNG"))


def whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a hidden file beside `path`, and give it its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Some writers choose the format by the ending, so it stays at the end.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-", suffix=f"-{path.name}")
    os.close(descriptor)
    hidden = Path(name)
    try:
        write(hidden)
        hidden.chmod(0o644)
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


def _ending(path: Path) -> str:
    suffix = suffix_of(path)
    if suffix in tiff.SUFFIXES:
        return ".tif"
    if suffix in nifti.SUFFIXES:
        return ".nii.gz"
    return ".dcm" if suffix in dicom.SUFFIXES or dicom.is_nameless(path) else ""


def _numbers(mask: Pixels, mask_values: Mapping[MaskKey, str]) -> Pixels:
    """The codes of the data set's own masks, or where these are colours the numbers of the classes."""
    coloured = any(isinstance(key, str) for key in mask_values)
    return mask if coloured else encode_mask(mask, mask_values)
