"""Settings of the method in methods/segmentation/colour_clusters.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from s4mi.contract import ClusterConfig, Task, ViewSpec
from s4mi.settings.built import built


class ColourClustersConfig(ClusterConfig):
    """Settings of clusters by colour."""

    summary: ClassVar[str] = "Segment without masks: k-means of colours, or Otsu's threshold, without a network"
    paper: ClassVar[str] = "Otsu 1979, A Threshold Selection Method from Gray-Level Histograms; MacQueen 1967 (k-means)"
    starts: ClassVar[dict[str, str | None]] = {}
    fitted: ClassVar[bool] = True
    default_views: ClassVar[ViewSpec] = ViewSpec(rotation=0.0, flip=False)

    name: Literal["colour_clusters"] = "colour_clusters"
    algorithm: Literal["kmeans", "otsu"] = Field(
        "kmeans",
        description="Clusters: kmeans of colours, or otsu, a threshold of each image's grey values",
    )
    per_image: bool = Field(
        True, description="Run k-means on each image by itself, rather than once on the colours of all images"
    )
    starts_tried: PositiveInt = Field(
        10, description="Number of starts of k-means on all images, of which the best is kept"
    )

    @field_validator("algorithm")
    @classmethod
    def _otsu_has_two(cls, algorithm: Any, info: ValidationInfo) -> Any:
        if algorithm == "otsu" and info.data.get("clusters") not in (None, 2):
            raise ValueError("a threshold gives two clusters; leave method.clusters out, or set algorithm=kmeans")
        return algorithm

    @property
    def backbone_name(self) -> str:
        return "colour" if self.algorithm == "kmeans" else "grey value"

    def technique(self, pretraining: str | None = None) -> str:
        name = super().technique(pretraining)
        if self.algorithm == "otsu":
            return name.replace(self.name, "otsu")
        return name if self.per_image else f"{name}, of all images"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.colour_clusters:ColourClustering")
