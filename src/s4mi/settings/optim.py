"""Settings of the optimiser and its learning-rate schedule."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class OptimConfig(BaseModel):
    """Settings of the optimiser; the defaults are those of the paper."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="Optimiser")
    lr: float = Field(3.6e-4, gt=0, description="Initial learning rate")
    weight_decay: float = Field(1e-5, ge=0, description="Weight decay: L2 penalty, decoupled for adamw")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of sgd")
    schedule: Literal["cosine", "step", "constant"] = Field(
        "cosine", description="Learning-rate schedule, stepped once per epoch"
    )
    cosine_epochs: int = Field(
        50,
        gt=0,
        description="Epochs in which the cosine schedule falls from lr to min_lr; then it rises again",
    )
    min_lr: float = Field(3.4e-4, ge=0, description="Minimum learning rate of the cosine schedule")
    step_epochs: int = Field(20, gt=0, description="Number of epochs between two drops of the step schedule")
    step_factor: float = Field(
        0.1, gt=0, le=1, description="Factor by which the step schedule multiplies the learning rate at each drop"
    )
    clip_norm: float | None = Field(
        None, gt=0, description="Maximum norm of the gradient; larger gradients are clipped (default: no clipping)"
    )

    @model_validator(mode="after")
    def _lr_order(self) -> "OptimConfig":
        if self.schedule == "cosine" and self.min_lr > self.lr:
            raise ValueError(f"min_lr {self.min_lr:g} is above lr {self.lr:g}; lower optim.min_lr as well")
        return self
