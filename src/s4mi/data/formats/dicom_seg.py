"""DICOM segmentations (SEG) as masks, through highdicom (extra `dicom`): BINARY, FRACTIONAL and LABELMAP.

The frames of a SEG are in any order, and there may be one per segment and image: highdicom, for one, writes those of an
enhanced CT from head to feet and may leave out empty ones. So they are found by what they refer to: SOP instance, frame
and segment of the image.
"""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s4mi.data.formats.frame import Frame, ImageError, image_errors
from s4mi.errors import require_extra

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""
NOT_AN_IMAGE = (
    "is a DICOM segmentation (SEG), a mask and not an image; import it as the mask of the images that it refers to"
)


def is_seg(path: Path) -> bool:
    """Whether a DICOM file is a segmentation; False if it cannot be read."""
    try:
        import pydicom

        dataset = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except Exception:  # the reader of images reports what is wrong
        return False
    return str(dataset.get("SOPClassUID", "")) in SOP_CLASSES


def instance_of(path: Path) -> str:
    """SOP instance UID of a DICOM file; empty if it cannot be read."""
    try:
        import pydicom

        return str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID)
    except Exception:  # the reader of images reports what is wrong
        return ""


def references(path: Path) -> list[str]:
    """SOP instance UIDs of the images that a segmentation refers to.

    Raises:
        ImageError: it cannot be read.
    """
    with image_errors(path):
        return [str(instance) for *_, instance in _read(path).get_source_image_uids()]


class Segment(NamedTuple):
    """Label of a segment as its author chose it, and the code of the kind of structure that it shows."""

    label: str
    code: str


def segments_of(path: Path) -> dict[int, Segment]:
    """Segments of a segmentation, by number.

    Raises:
        ImageError: it cannot be read.
    """
    with image_errors(path):
        segmentation = _read(path)
        numbers = [int(number) for number in segmentation.segment_numbers if int(number)]
        described = {number: segmentation.get_segment_description(number) for number in numbers}
    return {
        number: Segment(str(one.segment_label).strip(), f"{one.segmented_property_type.value}")
        for number, one in described.items()
    }


def masks_of(path: Path, image: Path, names: Sequence[str] = ()) -> Iterator[Frame]:
    """Yield the mask (H, W) of each frame of the DICOM file `image`: segment numbers, 0 where there is none.

    A pixel of a FRACTIONAL segmentation belongs to its likeliest segment, if that is at least 0.5.

    Args:
        names: labels of the segments of a whole data set; the values are then their positions, counted from 1, and a
            segmentation that does not refer to the image is empty, as it is one of several.

    Raises:
        ImageError: one of the files cannot be read, the segmentation does not refer to the image, or segments overlap.
    """
    pydicom = require_extra("pydicom", extra="dicom", purpose=f"{path.name}: reading DICOM-SEG")
    with image_errors(image):
        source = pydicom.dcmread(image, stop_before_pixels=True)
        uid, count = str(source.SOPInstanceUID), int(source.get("NumberOfFrames") or 1)
    with image_errors(path):
        segmentation = _read(path)
        frames: Iterator[Frame] = iter(())
        if uid in {str(instance) for *_, instance in segmentation.get_source_image_uids()}:
            frames = _frames(segmentation, uid, count, multi_frame="NumberOfFrames" in source)
        elif not names:
            raise ImageError("bad-mask", f"is a DICOM segmentation of other images than {image.name!r} ({uid})")
        else:
            size = (int(source.Rows), int(source.Columns))
            frames = (Frame(np.zeros(size, dtype=np.uint8)) for _ in range(count))
        yield from _by_name(frames, segments_of(path), names) if names else frames


def only_mask(path: Path) -> Frame:
    """Return the mask of a segmentation that refers to a single image of one frame.

    Raises:
        ImageError: it cannot be read, or refers to several images or frames.
    """
    with image_errors(path):
        segmentation = _read(path)
        instances = {str(instance) for *_, instance in segmentation.get_source_image_uids()}
        frames = {number for numbers in _source_frames(segmentation) for number in numbers}
        if len(instances) != 1 or len(frames) > 1:
            raise ImageError(
                "bad-mask",
                f"is a DICOM segmentation of {max(len(instances), len(frames))} images; import them as DICOM, which "
                "finds the mask of each by reference: s4mi data import folder",
            )
        return next(_frames(segmentation, instances.pop(), 1, multi_frame=bool(frames)))


def _by_name(frames: Iterator[Frame], segments: dict[int, Segment], names: Sequence[str]) -> Iterator[Frame]:
    """Replace segment numbers by the positions of their labels among `names`, from 1."""
    values = np.zeros(max(segments, default=0) + 1, dtype=np.uint8)
    for number, segment in segments.items():
        values[number] = names.index(segment.label) + 1
    for frame in frames:
        yield Frame(values[frame.values])


def _read(path: Path) -> Any:
    state = path.stat()
    return _read_file(os.fspath(path), (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=4)
def _read_file(path: str, _stamp: tuple[int, int]) -> Any:
    """Read a segmentation, which may be that of a whole series; the stamp, of size and time, is part of the key."""
    highdicom = require_extra("highdicom", extra="dicom", purpose=f"{Path(path).name}: reading DICOM-SEG")
    return highdicom.seg.segread(path)


def _source_frames(segmentation: Any) -> Iterator[tuple[int, ...]]:
    """Yield the frames of the image that each frame of the segmentation refers to; nothing for a whole instance."""
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        for derivation in group.get("DerivationImageSequence") or ():
            for source in derivation.get("SourceImageSequence") or ():
                numbers = source.get("ReferencedFrameNumber")
                if numbers is not None:
                    yield tuple(int(number) for number in np.atleast_1d(numbers))


def _frames(segmentation: Any, uid: str, count: int, *, multi_frame: bool) -> Iterator[Frame]:
    fractional = str(segmentation.get("SegmentationType", "")) == "FRACTIONAL"
    settings = {"combine_segments": not fractional, "assert_missing_frames_are_empty": True}
    try:
        if multi_frame:
            masks = segmentation.get_pixels_by_source_frame(uid, list(range(1, count + 1)), **settings)
        else:
            masks = segmentation.get_pixels_by_source_instance([uid], **settings)
    except RuntimeError as error:
        if "overlap" not in str(error):
            raise
        raise ImageError(
            "bad-mask", "has segments that overlap; export one with a single segment for each pixel"
        ) from error
    for mask in masks:
        if fractional:
            numbers = np.array([0, *segmentation.segment_numbers])
            likeliest = np.where(mask.max(axis=-1) >= 0.5, mask.argmax(axis=-1) + 1, 0)
            yield Frame(numbers[likeliest].astype(np.uint8 if numbers.max() < 256 else np.uint16))
        else:
            yield Frame(np.asarray(mask))
