"""Settings of the method in methods/segmentation/self_training.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import NetworkConfig, Task
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built


class SelfTrainingConfig(NetworkConfig):
    """Settings of self-training."""

    summary: ClassVar[str] = "Train a U-Net in rounds, from the second on with pseudo-labels of the previous round"
    paper: ClassVar[str] = "Bai et al. 2017, Semi-Supervised Learning for Network-Based Cardiac MR Image Segmentation"

    name: Literal["self_training"] = "self_training"
    rounds: PositiveInt = Field(
        4,
        description="Number of rounds of equal length; the first uses no pseudo-labels, each other one makes new ones",
    )
    confidence: float = Field(
        0.0, ge=0, lt=1, description="Minimum probability of a pseudo-label; pixels below it are ignored; paper: 0"
    )

    @property
    def backbone_name(self) -> str:
        return network_label(self.network)

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.self_training:SelfTraining")
