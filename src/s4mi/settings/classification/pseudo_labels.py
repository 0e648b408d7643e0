"""Settings of the method in methods/classification/pseudo_labels.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from s4mi.contract import JoinedFeaturesConfig, Task, ViewSpec
from s4mi.records import TaskKind
from s4mi.settings.built import built


class PseudoLabelsConfig(JoinedFeaturesConfig):
    """Settings of pseudo-labels on frozen features."""

    summary: ClassVar[str] = "Fit a head on frozen features, then again with its sure predictions for other images"
    paper: ClassVar[str] = "Lee 2013, Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel"})
    default_views: ClassVar[ViewSpec] = ViewSpec()

    name: Literal["pseudo_labels"] = "pseudo_labels"
    precision: PositiveFloat = Field(
        0.95, le=1, description="Mean precision over classes that kept pseudo-labels reach in cross-validation"
    )
    keep: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the predictions of each class to keep, the most probable ones; none: the largest share "
        "that reaches method.precision",
    )
    unlabelled_weight: NonNegativeFloat | None = Field(
        None,
        description="Weight of all pseudo-labels, as a multiple of that of all labels; none: by cross-validation",
    )

    def technique(self, pretraining: str | None = None) -> str:
        return super().technique(pretraining) + self.joined_label

    def build(self, task: Task) -> Any:
        return built(self, task, by="classification.pseudo_labels:PseudoLabels")
