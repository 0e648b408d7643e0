"""Mask files: PNG, or the format of the image, so that viewers can align the two.

png      one PNG per frame, with the values or colours of the data set's own masks; a TIFF in tiles of a page that is
         too large to be in memory at once
match    TIFF pages for TIFF, a NIfTI volume with the same affine for NIfTI, DICOM-SEG for DICOM, PNG for all others
"""

import re
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
from s4mi.records.atomic import replacing


def mask_paths(image: InputImage, folder: Path, form: MaskFormat) -> tuple[Path, ...]:
    """Paths of the mask files of an image."""
    ending = ".tif" if image.banded else "" if form == "png" else _ending(image.source.path)
    if ending:
        return (folder / f"{image.output_stem}{ending}",)
    return tuple(folder / f"{stem}.png" for stem in image.output_stems)


def write_masks(
    image: InputImage,
    masks: Sequence[Pixels],
    paths: Sequence[Path],
    *,
    mask_values: Mapping[MaskKey, str],
    classes: Sequence[str],
    model_name: str,
) -> None:
    """Write the masks (H, W) of the frames of an image to `paths`, each file atomically.

    Raises:
        S4miError: the package for the format is not installed, or the image lacks attributes that the format requires.
    """
    ending = "".join(paths[0].name[len(Path(image.output_stem).name) :])
    if len(paths) == len(masks) and paths[0].suffix == ".png":
        for path, mask in zip(paths, masks, strict=True):
            save_png(encode_mask(mask, mask_values), path)
    elif ending == ".tif":
        encoded = np.stack([encode_mask(mask, mask_values) for mask in masks])
        photometric = "rgb" if encoded.ndim == 4 else "minisblack"
        write_atomically(
            paths[0],
            lambda path: tifffile.imwrite(path, encoded, photometric=photometric, compression="zlib", metadata=None),
        )
    elif ending == ".nii.gz":
        encoded = np.stack([_encode_numbers(mask, mask_values) for mask in masks])
        write_atomically(paths[0], lambda path: write_nifti_mask(path, encoded, image.source.path))
    else:
        stack = np.stack(masks)
        write_atomically(
            paths[0],
            lambda path: write_dicom_seg(path, stack, image.source.path, classes=classes, model_name=model_name),
        )


def save_png(picture: Pixels, path: Path) -> None:
    """Write (H, W) or (H, W, 3) as PNG, atomically."""
    write_atomically(path, lambda temporary: Image.fromarray(picture).save(temporary, format="PNG"))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` create a hidden file beside `path`, and rename it once it is complete."""
    with replacing(path) as draft:
        write(draft)


def _ending(path: Path) -> str:
    suffix = suffix_of(path)
    if suffix in tiff.SUFFIXES:
        return ".tif"
    if suffix in nifti.SUFFIXES:
        return ".nii.gz"
    return ".dcm" if suffix in dicom.SUFFIXES or dicom.is_nameless(path) else ""


def _encode_numbers(mask: Pixels, mask_values: Mapping[MaskKey, str]) -> Pixels:
    """The values of the data set's own masks, or class indices if those are colours."""
    coloured = any(isinstance(key, str) for key in mask_values)
    return mask if coloured else encode_mask(mask, mask_values)


def write_nifti_mask(path: Path, slices: Pixels, image: Path) -> None:
    """Write (N, H, W) slices, oriented as `formats.nifti` reads the volume `image`, with its orientation and affine."""
    nibabel = require_extra("nibabel", extra="nifti", purpose=f"{path.name}: writing NIfTI")
    source = nibabel.load(image)
    planes = [nifti.array_from_slice(plane) for plane in slices]
    if len(source.shape) == 2:
        volume = nifti.flat_turn(source.affine).undo(planes[0])
    else:
        orientations = nibabel.orientations
        stored = orientations.io_orientation(source.affine)
        flat = nifti.flat_axis([source.shape[axis] for axis in np.argsort(stored[:, 0])])
        upright = np.stack(planes, axis=2 if flat is None else flat)  # (X, Y, Z) in RAS orientation
        back = orientations.ornt_transform(orientations.axcodes2ornt("RAS"), stored)
        volume = orientations.apply_orientation(upright, back)
    mask = nibabel.Nifti1Image(np.ascontiguousarray(volume), source.affine)
    mask.header.set_xyzt_units(*source.header.get_xyzt_units())
    for form in ("qform", "sform"):
        code = int(source.header[f"{form}_code"]) if f"{form}_code" in source.header else 0
        getattr(mask, f"set_{form}")(source.affine, code=code or 1)
    nibabel.save(mask, path)


TISSUE = ("85756007", "SCT", "Tissue")
"""Category and type of a segment if only its name is known."""


def write_dicom_seg(path: Path, masks: Pixels, image: Path, *, classes: Sequence[str], model_name: str) -> None:
    """Write (N, H, W) classes of the frames of `image`: a binary segment per class except background.

    Raises:
        S4miError: the package is not installed, or the image lacks an attribute that DICOM-SEG requires.
    """
    highdicom = require_extra("highdicom", extra="dicom", purpose=f"{path.name}: writing DICOM-SEG")
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: writing DICOM-SEG")
    source = pydicom.dcmread(image)
    turn = dicom.turn_of_dataset(source)
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
        segmentation = highdicom.seg.Segmentation(
            source_images=[source],
            pixel_array=np.stack([turn.undo(mask) for mask in masks]).astype(np.uint8),
            segmentation_type="BINARY",
            segment_descriptions=segments,
            # One series of masks for each series of images, whose files are written one by one.
            series_instance_uid=pydicom.uid.generate_uid(
                entropy_srcs=[str(source.get("SeriesInstanceUID", path)), model_name, *classes]
            ),
            series_number=100,
            sop_instance_uid=highdicom.UID(),
            instance_number=int(source.get("InstanceNumber") or 1),
            manufacturer="s4mi",
            manufacturer_model_name=Path(model_name).name[:64] or "s4mi",
            software_versions=__version__,
            device_serial_number="0",
            omit_empty_frames=False,
        )
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        lacking = re.fullmatch(r"'\w+' object has no attribute '(\w+)'", str(error))
        reason = f"it lacks {lacking[1]}" if lacking else " ".join(str(error).split())
        raise S4miError(
            f"cannot be the source of a DICOM-SEG ({reason}); write its mask as PNG with --format png"
        ) from error
    segmentation.save_as(path)
