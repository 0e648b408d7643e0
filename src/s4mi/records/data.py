"""What a run knew of its data: enough for a data card, and nothing that names a person or a folder."""

from typing import Literal

from pydantic import Field

from s4mi.records.scores import Frozen, Part

LeakKind = Literal["exact", "near", "group"]


class PartSummary(Frozen):
    """One part of the split."""

    images: int
    annotated: int = Field(description="for the task of the run")
    groups: int = Field(description="patients or lesions that its images name")
    classes: dict[str, int] = Field(description="annotated images that show each class")
    hash: str = Field(description="of which images these are")


class Leakage(Frozen):
    """Pairs of images that are alike on two sides of the split: `exact` by their bytes, `near` to look at, `group` by
    their patient or lesion."""

    kind: LeakKind
    parts: tuple[Part, Part]
    pairs: int


class DataSummary(Frozen):
    """The data set as a run saw it, and how it was split."""

    version: int = Field(1, description="how often annotations were merged into it, and one")
    images: int
    grouped: int = Field(description="images that name their patient or lesion")
    parts: dict[Part, PartSummary]
    division: str = Field(description="how the parts were made, in words")
    division_seed: int | None = Field(description="what drew them; None where nothing was drawn")
    leaks: tuple[Leakage, ...] = Field(description="all kinds are looked for in every run")
    formats: dict[str, int] = Field(description="images by the ending of their file")
    smallest: tuple[int, int] = Field(description="height and width in pixels of the image with the fewest")
    largest: tuple[int, int]
    image_size: int = Field(description="side in pixels of what the network sees")
    tile: int | None = Field(description="side in pixels of the tiles that large images are cut into")
    channels: str
    conversion: str = Field(description="what the import made of files that were no 8-bit pictures")
    source: str
    licence: str
