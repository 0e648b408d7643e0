"""Settings of the method in methods/segmentation/cross_pseudo_supervision.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from s4mi.contract import NetworkConfig, Task
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built


class CrossPseudoSupervisionConfig(NetworkConfig):
    """Settings of cross pseudo supervision; the default weight is the paper's for Cityscapes and VOC."""

    summary: ClassVar[str] = "Train two networks of one architecture on few masks, each on the other's pseudo-labels"
    paper: ClassVar[str] = "Chen et al. 2021, Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision"

    name: Literal["cross_pseudo_supervision"] = "cross_pseudo_supervision"
    unlabelled_weight: float = Field(1.5, ge=0, description="Weight of the pseudo-label loss on unlabelled images")

    @property
    def backbone_name(self) -> str:
        return f"2 × {network_label(self.network)}"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.cross_pseudo_supervision:CrossPseudoSupervision")
