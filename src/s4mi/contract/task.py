"""The task to learn."""

from collections.abc import Sequence
from dataclasses import dataclass

from s4mi.records import TaskKind


@dataclass(frozen=True)
class Task:
    """The task to learn, as far as a method needs to know it.

    Attributes:
        kind: multiclass (one class per image), multilabel (any number per image) or segmentation (one class per pixel).
        classes: class names in the order of the outputs; for segmentation the first is the background. Empty if nothing
            is annotated, which only pre-training supports.
        image_size: height and width of the network input in pixels.
        counts: labelled training images (classification) or pixels (segmentation) per class, for class weights.
            Validation and test sets are not counted.
        labelled: number of labelled training images.
        known: of a multi-label task, number of labelled training images of which it is known whether they show each
            class; empty: all of them.
        train_rows: manifest rows of all training images, for methods that tell them apart; empty outside training.
        patients: numbers of the patients of `train_rows`, for methods that make folds; empty if there are none.
    """

    kind: TaskKind
    classes: tuple[str, ...]
    image_size: int
    counts: tuple[int, ...]
    labelled: int
    train_rows: tuple[int, ...] = ()
    known: tuple[int, ...] = ()
    patients: tuple[int, ...] = ()

    def patients_of(self, rows: Sequence[int]) -> list[int]:
        """Return the number of the patient of each manifest row; the row itself where no patients are known."""
        if not self.patients:
            return list(rows)
        patient_of = dict(zip(self.train_rows, self.patients, strict=True))
        return [patient_of[row] for row in rows]
