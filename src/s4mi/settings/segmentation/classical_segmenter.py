"""Settings of the method in methods/segmentation/classical_segmenter.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import MethodConfig, Task, ViewSpec, WeightRule
from s4mi.records import TaskKind
from s4mi.settings.built import built


class ClassicalSegmenterConfig(MethodConfig):
    """Settings of the classical segmenter."""

    summary: ClassVar[str] = "Segment by colour and texture of each pixel with a random forest, without a network"
    paper: ClassVar[str] = "Berg et al. 2019, ilastik: interactive machine learning for (bio)image analysis"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    starts: ClassVar[dict[str, str | None]] = {}
    default_views: ClassVar[ViewSpec] = ViewSpec()
    fitted: ClassVar[bool] = True

    name: Literal["classical_segmenter"] = "classical_segmenter"
    trees: PositiveInt = Field(50, description="Number of trees of the random forest")
    depth: PositiveInt = Field(12, le=24, description="Maximum depth of a tree")
    pixels: PositiveInt = Field(30_000, description="Number of pixels that the forest is fitted to, of all images")
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the forest: none, inverse or median frequency of labelled training pixels, or a "
        "list of numbers",
    )

    @property
    def backbone_name(self) -> str:
        return "random forest"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.classical_segmenter:ClassicalSegmenter")
