"""Settings of the method in methods/segmentation/adversarial.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import NetworkConfig, Task
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built


class AdversarialConfig(NetworkConfig):
    """Settings of the deep adversarial network."""

    summary: ClassVar[str] = "Train a U-Net against a discriminator that separates masks of labelled and other images"
    paper: ClassVar[str] = "Zhang et al. 2017, Deep Adversarial Networks for Biomedical Image Segmentation (DAN)"

    name: Literal["adversarial"] = "adversarial"
    evaluator: PositiveInt = Field(
        32, description="Number of channels in the discriminator's first layer, doubled in each further layer"
    )
    unlabelled_weight: float = Field(0.1, ge=0, description="Weight of the adversarial loss on unlabelled images")
    ramp_up: float = Field(
        0.4, ge=0, le=1, description="Share of training over which unlabelled_weight ramps up; 0: no ramp-up"
    )

    @property
    def backbone_name(self) -> str:
        return network_label(self.network)

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.adversarial:Adversarial")
