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

from s4mi import __version__
from s4mi.data.files import suffix_of
from s4mi.data.formats import dicom, nifti, tiff
from s4mi.data.formats.intensity import Pixels
from s4mi.data.masks import encode_mask
from s4mi.data.spec import MaskKey
from s4mi.errors import S4miError, require_extra
from s4mi.inference.image_list import InputImage
from s4mi.inference.writers.output_settings import MaskFormat


def mask_paths(asked: InputImage, folder: Path, form: MaskFormat) -> tuple[Path, ...]:
    """The files that the masks of an image become."""
    ending = "" if form == "png" else _ending(asked.picture.path)
    if ending:
        return (folder / f"{asked.place}{ending}",)
    return tuple(folder / f"{place}.png" for place in asked.places)


def write_masks(
    asked: InputImage,
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


def write_nifti_mask(path: Path, slices: Pixels, image: Path) -> None:
    """Write (N, H, W) slices, as `formats.nifti` shows those of the volume `image`, in its orientation and affine."""
    nibabel = require_extra("nibabel", extra="nifti", purpose=f"{path.name}: writing NIfTI")
    source = nibabel.load(image)
    upright = np.stack([np.rot90(one, -1) for one in slices], axis=2)  # (X, Y, Z), as the standard orientation has it
    if len(source.shape) == 2:
        volume = upright[:, :, 0]
    else:
        orientations = nibabel.orientations
        stored = orientations.io_orientation(source.affine)
        back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), stored)
        volume = orientations.apply_orientation(upright, back)
    made = nibabel.Nifti1Image(np.ascontiguousarray(volume), source.affine)
    made.header.set_xyzt_units(*source.header.get_xyzt_units())
    for form in ("qform", "sform"):
        code = int(source.header[f"{form}_code"]) if f"{form}_code" in source.header else 0
        getattr(made, f"set_{form}")(source.affine, code=code or 1)
    nibabel.save(made, path)


TISSUE = ("85756007", "SCT", "Tissue")
"""Category and type of a segment of which nothing is known but its name."""


def write_dicom_seg(path: Path, masks: Pixels, image: Path, *, classes: Sequence[str], made_by: str) -> None:
    """Write (N, H, W) classes of the frames of `image`: a binary segment for each class but the background.

    Raises:
        S4miError: the package is not there, or the image lacks an attribute that a segmentation must repeat.
    """
    highdicom = require_extra("highdicom", extra="dicom", purpose=f"{path.name}: writing DICOM-SEG")
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: writing DICOM-SEG")
    source = pydicom.dcmread(image)
    category = highdicom.sr.CodedConcept(*TISSUE)
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=category,
            segmented_property_type=category,
            algorithm_type="AUTOMATIC",
            algorithm_identification=highdicom.AlgorithmIdentificationSequence(
                name="s4mi", version=__version__, family=pydicom.sr.codedict.codes.DCM.ArtificialIntelligence
            ),
        )
        for number, name in enumerate(classes[1:], start=1)
    ]
    try:
        made = highdicom.seg.Segmentation(
            source_images=[source],
            pixel_array=np.asarray(masks, dtype=np.uint8),
            segmentation_type="BINARY",
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=100,
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="s4mi",
            manufacturer_model_name=Path(made_by).name[:64] or "s4mi",
            software_versions=__version__,
            device_serial_number="0",
            omit_empty_frames=False,
        )
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise S4miError(
            f"cannot have a DICOM-SEG ({reason}); write its mask as PNG with --format png, or mend the file"
        ) from error
    made.save_as(path)
