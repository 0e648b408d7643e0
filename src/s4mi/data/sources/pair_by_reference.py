"""Match DICOM segmentations to images by the SOP instances that they refer to, whatever the files are called."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.data.formats import dicom, dicom_seg
from s4mi.data.sources.pair_by_name import Matches, some
from s4mi.data.spec import Finding
from s4mi.formatting import plural


def match_segmentations(images: Sequence[Path], masks: Sequence[Path]) -> tuple[Matches, list[Path]]:
    """Return the segmentations of each image, and the masks that are none.

    Several segmentations of an image, such as one for each structure, are united; `further` has the others of each
    first one, of which some may not refer to each of its images.
    """
    segmentations = [mask for mask in masks if dicom.is_dicom(mask) and dicom_seg.is_seg(mask)]
    image_of = (
        {dicom_seg.instance_of(image): image for image in images if dicom.is_dicom(image)} if segmentations else {}
    )
    if not image_of:  # masks of pictures in another format, which are matched by name
        return Matches({}, {}, []), list(masks)
    masks_of: dict[Path, list[Path]] = {}
    unmatched = []
    for mask in segmentations:
        found = dict.fromkeys(image_of[uid] for uid in dicom_seg.references(mask) if uid in image_of)
        if not found:
            unmatched.append(mask.name)
        for image in found:
            masks_of.setdefault(image, []).append(mask)
    findings = []
    if unmatched:
        message = (
            f"{plural(len(unmatched), 'DICOM segmentation')} of none of the images: {some(unmatched)}; add the images"
        )
        findings.append(Finding("mask-without-image", "warning" if masks_of else "error", "", None, message))
    further: dict[Path, dict[Path, None]] = {}
    several = [image for image, own in masks_of.items() if len(own) > 1]
    for image in several:
        first, *others = masks_of[image]
        further.setdefault(first, {}).update(dict.fromkeys(others))
    if several:
        names = some([mask.name for mask in masks_of[several[0]]])
        message = (
            f"{plural(len(several), 'image')} with several DICOM segmentations, which are united by the labels of "
            f"their segments: {several[0].name} ({names})"
        )
        findings.append(Finding("masks-united", "note", "", None, message))
    matches = Matches(
        {image: own[0] for image, own in masks_of.items()},
        {first: tuple(others) for first, others in further.items()},
        findings,
    )
    matched = set(segmentations)
    return matches, [mask for mask in masks if mask not in matched]
