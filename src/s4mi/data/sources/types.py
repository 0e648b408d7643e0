"""What a source is read into: its images with what is known of them, before anything is decoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s4mi.data.manifest import Row
from s4mi.data.spec import Finding, MaskKey
from s4mi.records import Part

ProgressCallback = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""

PART_NAMES: Mapping[str, Part] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What people call the parts of a split."""


@dataclass(frozen=True)
class EmbeddedImage:
    """A picture inside a larger file, which an import writes out.

    Attributes:
        file: a file of several pages, frames or slices, or an archive.
        frame: which of them, from 0; of a TIFF the frames are the pages of one size.
        member: of an archive, what is meant in it: a picture in a `.zip`, an array of pictures in a `.npz`.
        page: `frame` counts all pages of a TIFF, whatever their size.
    """

    file: Path
    frame: int = 0
    member: str = ""
    page: bool = False


@dataclass(frozen=True)
class FoundDataset:
    """What a source holds, before anything is decoded.

    Attributes:
        folder: where the source lies; images and masks are usually below it.
        kind: how it is laid out, in words.
        rows: the images that can be used; `id` is still empty.
        classes: every class name, in the order of a classifier's outputs.
        findings: what is wrong or worth saying, with files relative to `folder`.
        multilabel: an image may show any number of classes.
        extracts: what lies inside larger files, by the path that stands for it in `rows`: that of the file, taken as
            if it were a folder, and a name of its own below, such as `scan.dcm/scan_003.png`.
        named: a file names every image, so that what else lies in `folder` is never taken for one.
    """

    folder: Path
    kind: str
    rows: tuple[Row, ...]
    classes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    multilabel: bool = False
    extracts: Mapping[Path, EmbeddedImage] = field(default_factory=dict)
    named: bool = False


@dataclass(frozen=True)
class DatasetNaming:
    """What a source does not say of itself."""

    name: str
    source: str = ""
    licence: str = ""
    foreground: str = "foreground"
    mask_values: Mapping[MaskKey, str] = field(default_factory=dict)
