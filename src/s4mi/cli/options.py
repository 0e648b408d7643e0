"""Parts of a split and tasks, as options name them."""

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
    """Parts of a split, or all of it."""

    train = "train"
    val = "val"
    test = "test"
    all = "all"

    @property
    def part(self) -> "KnownPart | None":
        """The part, or None for all of it."""
        return None if self is Split.all else cast("KnownPart", self.value)


class Task(StrEnum):
    """What runs of a study learn, where they learn several things."""

    multiclass = "multiclass"
    multilabel = "multilabel"
    segmentation = "segmentation"
    any = "any"

    @property
    def kind(self) -> "TaskKind | None":
        """The task, or None where there is but one."""
        return None if self is Task.any else cast("TaskKind", self.value)
