"""Settings of the method in methods/classification/classical.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from s4mi.contract import MethodConfig, Task, ViewSpec, WeightRule
from s4mi.records import TaskKind
from s4mi.settings.built import built

FEWEST_FOR_BOOSTING = 40
"""Number of labelled images below which `head: auto` does not try boosting."""


class ClassicalConfig(MethodConfig):
    """Settings of the classical baseline."""

    summary: ClassVar[str] = "Classify by colour, texture and shape features, without a network"
    paper: ClassVar[str] = "Haralick et al. 1973; Ojala et al. 2002 (LBP); Dalal & Triggs 2005 (HOG); Friedman 2001"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel"})
    starts: ClassVar[dict[str, str | None]] = {}
    default_views: ClassVar[ViewSpec] = ViewSpec()
    fitted: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False

    name: Literal["classical"] = "classical"
    head: Literal["auto", "logistic", "boosting"] = Field(
        "auto",
        description="Head: logistic regression, gradient boosting, or auto: the one with the smaller held-out loss of "
        f"folds inside the labelled images, logistic below {FEWEST_FOR_BOOSTING} of them",
    )
    class_weights: WeightRule | tuple[float, ...] = Field(
        "inverse",
        description="Class weights of the fit: none, inverse or median frequency of labelled training images, or a "
        "list of numbers; multi-label: weights of the positives",
    )

    @property
    def backbone_name(self) -> str:
        return "colour, texture, shape"

    def technique(self, pretraining: str | None = None) -> str:
        name = super().technique(pretraining)
        return name if self.head == "auto" else f"{name}, {self.head}"

    def build(self, task: Task) -> Any:
        return built(self, task, by="classification.classical:Classical")
