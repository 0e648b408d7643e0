"""Values that options of several commands take: parts of a split, and tasks."""

from enum import StrEnum
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from s4mi.records import Part as KnownPart
    from s4mi.records import TaskKind


class Part(StrEnum):
    """Parts of a split."""

    train = "train"
    val = "val"
    test = "test"


class Split(StrEnum):
    """Parts of a split, or the whole split."""

    train = "train"
    val = "val"
    test = "test"
    all = "all"

    @property
    def part(self) -> "KnownPart | None":
        """The part, or None for the whole split."""
        return None if self is Split.all else cast("KnownPart", self.value)


class Task(StrEnum):
    """Tasks of a study's runs, where it has several."""

    multiclass = "multiclass"
    multilabel = "multilabel"
    segmentation = "segmentation"
    any = "any"

    @property
    def kind(self) -> "TaskKind | None":
        """The task, or None for any."""
        return None if self is Task.any else cast("TaskKind", self.value)
