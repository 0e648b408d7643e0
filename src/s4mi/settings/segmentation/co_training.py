"""Settings of the method in methods/segmentation/co_training.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from s4mi.contract import NetworkConfig, Task
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built


class CoTrainingConfig(NetworkConfig):
    """Settings of deep co-training."""

    summary: ClassVar[str] = (
        "Train two U-Nets that agree on unlabelled images and resist each other's adversarial examples"
    )
    paper: ClassVar[str] = "Qiao et al. 2018, Deep Co-Training; Peng et al. 2020 for segmentation"

    name: Literal["co_training"] = "co_training"
    diversity: float = Field(
        0.5, ge=0, description="Weight of the diversity loss relative to the agreement loss; 0: no diversity loss"
    )
    deception: float = Field(
        0.03, ge=0, le=1, description="Step size of the adversarial examples, for pixel values in [0, 1]"
    )
    ramp_up: float = Field(
        0.4, ge=0, le=1, description="Share of training over which unlabelled_weight ramps up; 0: no ramp-up"
    )

    @property
    def backbone_name(self) -> str:
        return f"2 × {network_label(self.network)}"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.co_training:CoTraining")
