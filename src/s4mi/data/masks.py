"""Read masks as class indices, from files that encode classes as numbers, palette entries or colours."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.data.files import read_frame, read_frames, read_header, suffix_of
from s4mi.data.formats import dicom, dicom_seg, nifti, nrrd, nrrd_seg, raster, tiff
from s4mi.data.formats.frame import Frame, ImageError
from s4mi.data.formats.intensity import Pixels
from s4mi.data.mask_grid import grid_of, is_placed
from s4mi.data.spec import IGNORED_CLASS, MaskKey
from s4mi.records import IGNORE

JPEG = (".jpg", ".jpeg")
MAX_CODE = 255
MAX_COLOURS = 64
"""A file with more colours is a photograph, or a mask with edges blurred by lossy compression."""


def read_mask(path: Path, mask_values: Mapping[MaskKey, str]) -> Pixels:
    """Read (H, W) uint8 class indices, in the order of first mention in `mask_values`; `IGNORE` for ignored pixels.

    Raises:
        ImageError: the file cannot be read, or contains a value or colour that is not in `mask_values`.
    """
    try:
        return decode_mask(read_mask_frame(path), mask_values)
    except ImageError as error:
        if error.code == "mask-value" and suffix_of(path) in JPEG:
            problem = str(error).partition("; ")[0]
            raise ImageError(error.code, f"{problem}; JPEG changes values, so save masks as PNG") from error
        raise


def mask_file_values(path: Path) -> tuple[MaskKey, ...]:
    """Return the distinct codes of a mask file, ascending: numbers, or `#rrggbb` if it is a colour image.

    Raises:
        ImageError: the file cannot be read.
    """
    return mask_codes(read_mask_frame(path))


def read_mask_frame(path: Path) -> Frame:
    """Read the stored values of a mask file: palette indices of a palette image, 0 and 1 of a 1-bit image.

    Raises:
        ImageError: the file cannot be read.
    """
    suffix = suffix_of(path)
    if suffix in raster.SUFFIXES:
        return raster.codes(path)
    if dicom.is_dicom(path) and dicom_seg.is_seg(path):
        segmentation = dicom_seg.only_mask(path)
        return Frame(dicom.turn_of_segmentation(path).apply(segmentation.values))
    return tiff.codes(path) if suffix in tiff.SUFFIXES else as_viewers_show(read_frame(path))


def mask_frames(mask: Path, image: Path | None, segments: Sequence[str] = ()) -> Iterator[Frame]:
    """Yield the frames of a mask, in the orientation of `image` if it is given.

    Args:
        segments: names of all segments of a data set, in the order of their values, for segmentations of 3D Slicer, and
            of DICOM where one image has several.

    Raises:
        ImageError: a file cannot be read, or the mask does not fit the image.
    """
    placed = image is not None and is_placed(image, mask)
    if nrrd_seg.is_segmentation(mask):
        yield from nrrd_seg.masks_of(mask, segments, grid_of(image) if image is not None and placed else None)
    elif image is not None and placed:
        yield from _placed(mask, image)
    elif image is not None:
        yield from frames_like(mask, image, segments)
    else:
        yield from read_frames(mask)


def frames_like(mask: Path, image: Path, segments: Sequence[str] = ()) -> Iterator[Frame]:
    """Yield the frames of a mask in the orientation of its image: by its NIfTI affine, or turned like its DICOM file.

    The pixels of a DICOM segmentation are those of the image as stored, which it refers to.

    Raises:
        ImageError: a file cannot be read, or a DICOM segmentation does not refer to the image.
    """
    if suffix_of(image) in nifti.SUFFIXES:
        yield from nifti.frames(mask, like=image)
        return
    turn = dicom.turn_of_file(image)
    frames: Iterable[Frame]
    if dicom.is_dicom(mask) and dicom_seg.is_seg(mask):
        frames = dicom_seg.masks_of(mask, image, segments)
    else:
        frames = [read_mask_frame(mask)] if read_header(mask).frames == 1 else read_frames(mask)
    for frame in frames:
        yield Frame(turn.apply(frame.values))


def _placed(mask: Path, image: Path) -> Iterator[Frame]:
    """Yield the frames of a NIfTI or NRRD mask on the voxel grid of its image."""
    grid = grid_of(image)
    volume = nrrd.stored_volume(mask) if suffix_of(mask) in nrrd.SUFFIXES else nifti.stored_volume(mask)
    try:
        yield from map(Frame, grid.frames(grid.place(volume, grid_of(mask))))
    except ValueError as error:
        raise ImageError("bad-mask", f"{error}; save it in the geometry of its image") from error


def as_viewers_show(mask: Frame) -> Frame:
    """Return a mask in which low values are bright (MONOCHROME1) with its values inverted; others unchanged.

    Raises:
        ImageError: the values are not 8-bit, so that it is unknown which number is which class.
    """
    if not mask.inverted:
        return mask
    if mask.values.dtype != np.uint8:
        message = f"contains {mask.values.dtype} values in MONOCHROME1; re-export the mask as 8-bit MONOCHROME2"
        raise ImageError("bad-mask", message)
    return Frame(255 - mask.values)


def mask_codes(frame: Frame) -> tuple[MaskKey, ...]:
    """Return the distinct codes of a decoded mask, ascending.

    Raises:
        ImageError: they are neither integers from 0 to 255 nor colours.
    """
    return _distinct(_codes(frame.values))


def decode_mask(frame: Frame, mask_values: Mapping[MaskKey, str]) -> Pixels:
    """Convert a decoded mask to (H, W) uint8 class indices.

    Raises:
        ImageError: the mask contains a value or colour that is not in `mask_values`.
    """
    codes = _codes(frame.values)
    if codes.dtype == np.uint8 and any(isinstance(key, str) for key in mask_values):
        codes = codes.astype(np.uint32) * 0x010101  # a colour mask in which only greys occur
    names = list(dict.fromkeys(name for name in mask_values.values() if name != IGNORED_CLASS))
    index_of = {key: IGNORE if name == IGNORED_CLASS else names.index(name) for key, name in mask_values.items()}
    unknown = [key for key in _distinct(codes) if key not in index_of]
    if unknown:
        shown = ", ".join(map(str, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        several = len(unknown) > 1
        raise ImageError(
            "mask-value",
            f"contains the value{'s' if several else ''} {shown}, not in mask_values "
            f"({', '.join(map(str, mask_values))}); add {'them' if several else 'it'} to mask_values in dataset.yaml, "
            "or re-export the mask",
        )
    index_of_code = {key if isinstance(key, int) else int(key[1:], 16): index for key, index in index_of.items()}
    known = np.array(sorted(index_of_code), dtype=np.uint32)
    indices = np.array([index_of_code[int(code)] for code in known], dtype=np.uint8)
    if codes.dtype == np.uint8:
        table = np.zeros(256, dtype=np.uint8)
        table[known] = indices
        return np.asarray(table[codes], dtype=np.uint8)
    return np.asarray(indices[np.searchsorted(known, codes)], dtype=np.uint8)


def foreground_share(mask: Pixels) -> float:
    """Share of foreground among the pixels of a mask that are not ignored; 0 if all are ignored."""
    known = int((mask != IGNORE).sum())
    return int(((mask > 0) & (mask != IGNORE)).sum()) / known if known else 0.0


def encode_mask(classes: Pixels, mask_values: Mapping[MaskKey, str]) -> Pixels:
    """Encode class indices (H, W) like the masks of the data set: as (H, W) numbers or (H, W, 3) colours.

    Ignored pixels need a value or colour of the class `ignore` in `mask_values`.
    """
    first = {name: key for key, name in reversed(list(mask_values.items()))}
    names = dict.fromkeys(name for name in mask_values.values() if name != IGNORED_CLASS)
    keys = {number: first[name] for number, name in enumerate(names)}
    if IGNORED_CLASS in first:
        keys[IGNORE] = first[IGNORED_CLASS]
    shape = (3,) if any(isinstance(key, str) for key in keys.values()) else ()
    table = np.zeros((max(keys) + 1, *shape), dtype=np.uint8)
    for number, key in keys.items():
        table[number] = tuple(bytes.fromhex(str(key).removeprefix("#"))) if shape else key
    return np.asarray(table[classes], dtype=np.uint8)


def _distinct(codes: NDArray[Any]) -> tuple[MaskKey, ...]:
    if codes.dtype == np.uint8:
        return tuple(int(value) for value in np.flatnonzero(np.bincount(codes.ravel(), minlength=256)))
    # Masks consist of long runs of one colour: sorting only the first pixel of each is many times faster.
    flat = codes.ravel()
    starts = flat[np.flatnonzero(np.diff(flat, prepend=~flat[:1]))]
    colours = np.unique(starts)
    if len(colours) > MAX_COLOURS:
        raise ImageError(
            "bad-mask",
            f"is a colour image ({len(colours)} colours); re-export the mask with one number or colour per class",
        )
    return tuple(f"#{code:06x}" for code in colours)


def _codes(values: NDArray[Any]) -> NDArray[Any]:
    """Return (H, W) uint8 numbers, or (H, W) uint32 colours 0xrrggbb if any pixel is not grey."""
    if not values.size:
        raise ImageError("bad-mask", "has no pixels; re-export the mask")
    if values.dtype != np.bool_ and not (
        np.issubdtype(values.dtype, np.number) and values.min() >= 0 and values.max() <= 255 and not (values % 1).any()
    ):
        message = f"contains {values.dtype} values that are not integers from 0 to 255; re-export the mask"
        if np.issubdtype(values.dtype, np.integer):
            message = (
                f"contains values up to {values.max()}, more than {MAX_CODE}; import it with --mask-nonzero NAME if "
                "all but 0 are one class"
            )
        raise ImageError("bad-mask", message)
    codes = values.astype(np.uint8)
    if codes.ndim == 2:
        return codes
    if (codes[:, :, :1] == codes[:, :, :3]).all():
        return codes[:, :, 0]
    red, green, blue = (codes[:, :, channel].astype(np.uint32) for channel in range(3))
    return red << 16 | green << 8 | blue
