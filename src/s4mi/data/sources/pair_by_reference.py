"""Match DICOM segmentations to images by the SOP instances that they refer to, whatever the files are called."""

from collections.abc import Sequence
from pathlib import Path

from s4mi.data.formats import dicom, dicom_seg
from s4mi.data.sources.pair_by_name import some
from s4mi.data.spec import Finding
from s4mi.formatting import plural


def match_segmentations(
    images: Sequence[Path], masks: Sequence[Path]
) -> tuple[dict[Path, Path], list[Path], list[Finding]]:
    """Return the segmentation of each image that has one, the other masks, and findings."""
    segmentations = [mask for mask in masks if dicom.is_dicom(mask) and dicom_seg.is_seg(mask)]
    image_of = (
        {dicom_seg.instance_of(image): image for image in images if dicom.is_dicom(image)} if segmentations else {}
    )
    if not image_of:  # masks of pictures in another format, which are matched by name
        return {}, list(masks), []
    mask_of: dict[Path, Path] = {}
    unmatched, twice = [], []
    for mask in segmentations:
        found = [image_of[uid] for uid in dicom_seg.references(mask) if uid in image_of]
        if not found:
            unmatched.append(mask.name)
        twice += [f"{image.name} ({mask_of[image].name}, {mask.name})" for image in found if image in mask_of]
        mask_of.update(dict.fromkeys(found, mask))
    findings = []
    if unmatched:
        message = (
            f"{plural(len(unmatched), 'DICOM segmentation')} of none of the images: {some(unmatched)}; add the images"
        )
        findings.append(Finding("mask-without-image", "warning" if mask_of else "error", "", None, message))
    if twice:
        message = (
            f"{plural(len(twice), 'image')} with several DICOM segmentations: {some(twice)}; keep one for each image"
        )
        findings.append(Finding("several-masks", "error", "", None, message))
    return mask_of, [mask for mask in masks if mask not in set(segmentations)], findings
