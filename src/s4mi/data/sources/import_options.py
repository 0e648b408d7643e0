"""How an import processes files."""

from dataclasses import dataclass, field

from s4mi.data.formats.intensity import Intensity
from s4mi.data.sources.frames import FrameSelection


@dataclass(frozen=True)
class ImportOptions:
    """How an import processes files.

    Attributes:
        copy: copy images and masks into the data set folder instead of referencing them.
        force: replace an existing data set.
        skip_missing: skip rows whose image or mask does not exist.
        frames: frames to import from files of several.
        intensity: conversion of images of more than 8 bits to 0..255.
        keep_dicom: reference single-frame DICOM files, with all their patient data, instead of extracting the image.
        image_affine: read NIfTI masks with the affine of their image instead of their own.
    """

    copy: bool = False
    force: bool = False
    skip_missing: bool = False
    frames: FrameSelection = field(default_factory=FrameSelection)
    intensity: Intensity = field(default_factory=Intensity)
    keep_dicom: bool = False
    image_affine: bool = False
