"""Settings of the method in methods/segmentation/mean_teacher.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from s4mi.contract import NetworkConfig, Task
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built


class MeanTeacherConfig(NetworkConfig):
    """Settings of the uncertainty-aware mean teacher; the defaults are the paper's.

    In networks without dropout, such as those on most encoders, the passes differ by the noise alone.
    """

    summary: ClassVar[str] = "Train a U-Net to agree with the moving average of its weights where that is certain"
    paper: ClassVar[str] = "Yu et al. 2019, Uncertainty-Aware Self-Ensembling Model (UA-MT)"

    name: Literal["mean_teacher"] = "mean_teacher"
    unlabelled_weight: float = Field(0.1, ge=0, description="Weight of the consistency loss on unlabelled images")
    ramp_up: float = Field(
        1.0, ge=0, le=1, description="Share of training over which unlabelled_weight ramps up; 0: no ramp-up"
    )
    momentum: float = Field(
        0.99, ge=0, lt=1, description="Momentum of the teacher's exponential moving average; lower in the first steps"
    )
    passes: PositiveInt = Field(8, description="Number of forward passes of the teacher per image")
    noise: float = Field(
        0.1, ge=0, description="Standard deviation of the noise added to the teacher's images, for values in [0, 1]"
    )

    @property
    def backbone_name(self) -> str:
        return network_label(self.network)

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.mean_teacher:MeanTeacher")
