"""Settings of the method in methods/classification/frozen.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from s4mi.contract import TURNS, JoinedFeaturesConfig, Task, ViewSpec
from s4mi.records import TaskKind
from s4mi.settings.built import built
from s4mi.settings.head_names import HeadName


class FrozenConfig(JoinedFeaturesConfig):
    """Settings of a head on frozen features."""

    summary: ClassVar[str] = "Fit a light head to the features of a frozen encoder, computed once and stored"
    paper: ClassVar[str] = "Alain & Bengio 2016, Understanding intermediate layers using linear classifier probes"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel"})
    default_views: ClassVar[ViewSpec] = ViewSpec()

    name: Literal["frozen"] = "frozen"
    head: HeadName = Field(
        "logistic", description="Head: logistic or ridge regression, nearest neighbours, or the means of the classes"
    )
    turns: int = Field(
        1, ge=1, le=TURNS, description="Number of views of each labelled image to fit on: flips and quarter turns"
    )

    def technique(self, pretraining: str | None = None) -> str:
        head = "" if self.head == "logistic" else f", {self.head}"
        start = "" if pretraining is None else f" from {pretraining}"
        return f"frozen{start}{self.joined_label}{head}"

    def build(self, task: Task) -> Any:
        return built(self, task, by="classification.frozen:Frozen")
