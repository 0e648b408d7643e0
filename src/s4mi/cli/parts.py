"""Parts of a split, as options name them."""

from enum import StrEnum
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from s4mi.records import Part as KnownPart


class Part(StrEnum):
    """Parts of a split."""

    train = "train"
    val = "val"
    test = "test"


class Split(StrEnum):
    """Parts of a split, or all of it."""

    train = "train"
    val = "val"
    test = "test"
    all = "all"

    @property
    def part(self) -> "KnownPart | None":
        """The part, or None for all of it."""
        return None if self is Split.all else cast("KnownPart", self.value)
