"""The result of reading a source: its images and what is known about them, before anything is decoded."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s4mi.data.row import Row
from s4mi.data.sources.compose_masks import MaskRule
from s4mi.data.spec import Finding, MaskKey
from s4mi.records import Part

ProgressCallback = Callable[[str, int, int], None]
"""Called with a description of the current work, the number of finished items and their total."""

PART_NAMES: Mapping[str, Part] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Common names of the parts of a dataset split."""


def part_in_name(name: str) -> Part | None:
    """Return the part of a split that a name contains as a word, such as `ISIC2018_Task1_Training_Input`; else None.

    Of several, the first: `train_val_list.txt` lists training images.
    """
    words = re.split(r"[^a-z]+", re.sub("(?<=[a-z0-9])(?=[A-Z])", " ", name).lower())
    return next((PART_NAMES[word] for word in words if word in PART_NAMES), None)


@dataclass(frozen=True)
class EmbeddedImage:
    """An image inside a larger file, which an import extracts.

    Attributes:
        file: file of several pages, frames or slices, or an archive.
        frame: number of the frame, from 0; the frames of a TIFF are its pages of one size.
        member: member of an archive: an image in a `.zip`, an array of images in a `.npz`.
        like: image whose orientation a mask takes: of NIfTI, its affine instead of the mask's own; of DICOM, its turn.
            A mask in a DICOM segmentation is that of the frames of this image.
        page: whether `frame` counts all pages of a TIFF, whatever their size.
        segments: names of all segments of a data set, if the mask is a segmentation of 3D Slicer; values count from 1.
        others: of an image, files of further channels (green and blue); of a mask, further masks to unite.
        limits: values that become 0 and 255; None: by the intensity rule.
        layers: names of the classes of a mask stored as one layer per class, `background` for layers that are none.
    """

    file: Path
    frame: int = 0
    member: str = ""
    page: bool = False
    segments: tuple[str, ...] = ()
    like: Path | None = None
    others: tuple[Path, ...] = ()
    limits: tuple[float, float] | None = None
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassEdits:
    """Classes to rename and to drop, and those of them that labels have, which masks need not have."""

    rename: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    in_labels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FoundDataset:
    """Contents of a source, before anything is decoded.

    Attributes:
        folder: folder of the source; images and masks are usually below it.
        kind: description of its layout.
        rows: the usable images; `id` is still empty.
        classes: all class names, in the order of a classifier's outputs.
        findings: problems and notes, with files relative to `folder`.
        multilabel: whether an image may show any number of classes.
        embedded: images inside larger files, by the path that represents them in `rows`: that of the file, treated as a
            folder, followed by a name, such as `scan.dcm/scan_003.png`.
        united: further masks of an image, by its first mask, which an import unites into one.
        channels: files of further channels of an image, by that of its first, which an import combines into one.
        listed: whether a file lists every image, so that other files in `folder` are never imported.
        table: name of the table that has the images in the lines of `rows`, if it is one.
        segments: names of all segments of 3D Slicer, in the order of the values that masks get.
        edits: classes to rename and drop in masks, whose names are known once they are read.
    """

    folder: Path
    kind: str
    rows: tuple[Row, ...]
    classes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    multilabel: bool = False
    embedded: Mapping[Path, EmbeddedImage] = field(default_factory=dict)
    united: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    channels: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    listed: bool = False
    table: str = ""
    segments: tuple[str, ...] = ()
    edits: ClassEdits = field(default_factory=ClassEdits)


@dataclass(frozen=True)
class DatasetNaming:
    """Properties of a data set that its source does not contain.

    Attributes:
        name: name of the data set.
        source, licence: origin of the images and their terms.
        foreground: class of the only value beside 0 in masks.
        mask_values: class of each pixel value or colour of masks with several.
        mask_rule: which pixels are foreground if not those of a value of their own.
    """

    name: str
    source: str = ""
    licence: str = ""
    foreground: str = "foreground"
    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
    mask_rule: MaskRule = field(default_factory=MaskRule)
