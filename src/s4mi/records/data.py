"""Summary of the data set of a run: enough for a data card, without names of people or folders."""

from typing import Literal

from pydantic import Field

from s4mi.records.scores import Frozen, Part

LeakKind = Literal["exact", "near", "group"]


class PartSummary(Frozen):
    """One part of the split."""

    images: int
    annotated: int = Field(description="images annotated for the task of the run")
    groups: int = Field(description="number of different patients or lesions")
    classes: dict[str, int] = Field(description="annotated images that show each class")
    hash: str = Field(description="hash of the selection of images")


class Leakage(Frozen):
    """Pairs of images in two parts of the split: `exact` duplicates, `near`-duplicates, or of the same `group` (patient
    or lesion)."""

    kind: LeakKind
    parts: tuple[Part, Part]
    pairs: int


class DataSummary(Frozen):
    """The data set as used by a run, and how it was split."""

    version: int = Field(1, description="version of the data set: 1, plus one for each merge of annotations")
    images: int
    grouped: int = Field(description="images with a known patient or lesion")
    parts: dict[Part, PartSummary]
    division: str = Field(description="how the data set was split, in words")
    division_seed: int | None = Field(description="seed of the split; None if it was not random")
    leaks: tuple[Leakage, ...] = Field(description="leakage found; every run checks for all kinds")
    formats: dict[str, int] = Field(description="number of images by file extension")
    smallest: tuple[int, int] = Field(description="height and width in pixels of the smallest image")
    largest: tuple[int, int] = Field(description="height and width in pixels of the largest image")
    image_size: int = Field(description="side of the network input in pixels")
    tile: int | None = Field(description="side in pixels of the tiles that images are cut into; None: not tiled")
    channels: str
    conversion: str = Field(description="how the import converted files other than 8-bit images")
    source: str
    licence: str
