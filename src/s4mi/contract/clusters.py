"""Settings shared by methods that segment without masks: number and names of the clusters."""

from abc import ABC
from typing import ClassVar

from pydantic import Field, PositiveInt, ValidationInfo, field_validator

from s4mi.contract.settings import MethodConfig
from s4mi.records import TaskKind

MOST_CLUSTERS = 255
"""Labels from 0 to 254 are stored as uint8; 255 is reserved for pixels without a label."""


class ClusterConfig(MethodConfig, ABC):
    """Settings of a method that finds clusters of pixels in images without masks."""

    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    unlabelled: ClassVar[bool] = True

    clusters: PositiveInt | None = Field(
        None,
        ge=2,
        le=MOST_CLUSTERS,
        description="Number of clusters; none: the number of classes of the masks, or 2 without masks",
    )
    classes: dict[int, str] | None = Field(
        None,
        description="Class of each cluster, named after inspection, such as {0: background, 1: lesion}; none: matched "
        "on validation masks",
    )

    @field_validator("classes")
    @classmethod
    def _all_clusters_named(cls, classes: dict[int, str] | None, info: ValidationInfo) -> dict[int, str] | None:
        if classes is not None and sorted(classes) != list(range(len(classes))):
            raise ValueError("clusters must be numbered from 0 without gaps; several clusters may share a name")
        if classes is not None and len({*classes.values()}) < 2:
            raise ValueError("at least two classes must be named, such as {0: background, 1: lesion}")
        # Without `clusters` there are two, or one per class of the masks, whose number is not known here.
        count = info.data.get("clusters") or 2
        if classes is not None and len(classes) != count:
            more = "" if info.data.get("clusters") else "; if the masks have more classes, set method.clusters too"
            raise ValueError(f"names {len(classes)} clusters, but there are {count}{more}")
        return classes

    @property
    def own_classes(self) -> tuple[str, ...]:
        if self.classes is None:
            return tuple(f"cluster {number}" for number in range(self.clusters or 2))
        names = dict.fromkeys(self.classes[number] for number in sorted(self.classes))
        return tuple(sorted(names, key=lambda name: name != "background"))  # background is always the first class

    @property
    def named(self) -> bool:
        return self.classes is not None

    def technique(self, pretraining: str | None = None) -> str:
        name = super().technique(pretraining)
        return name if self.clusters is None else f"{name}, {self.clusters} clusters"
