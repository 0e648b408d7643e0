"""The optimiser and its schedule (S4MI section 3.3)."""

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, StepLR


class OptimConfig(BaseModel):
    """Settings of the optimiser; the defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(3.6e-4, gt=0)
    weight_decay: float = Field(1e-5, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    schedule: Literal["cosine", "step", "constant"] = Field("cosine", description="stepped once an epoch")
    cosine_epochs: int = Field(50, gt=0, description="epochs from lr down to min_lr; then it climbs again")
    min_lr: float = Field(3.4e-4, ge=0, description="of cosine")
    step_epochs: int = Field(20, gt=0, description="of step: epochs between two drops")
    step_factor: float = Field(0.1, gt=0, le=1, description="of step")
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the gradient")

    @model_validator(mode="after")
    def _downwards(self) -> "OptimConfig":
        if self.schedule == "cosine" and self.min_lr > self.lr:
            raise ValueError(f"min_lr {self.min_lr:g} is above lr {self.lr:g}; set optim.min_lr below it too")
        return self


def make_optimizer(config: OptimConfig, parameters: Iterable[nn.Parameter], *, device: torch.device) -> Optimizer:
    """The optimiser, in its fused form where the device has one."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    # A fused step unscales 16-bit gradients for itself, which leaves no moment to clip them.
    fused = device.type == "cpu" or (device.type == "cuda" and config.clip_norm is None)
    if config.name == "adam":
        return Adam(trained, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    if config.name == "adamw":
        return AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    sgd = SGD(trained, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum, fused=fused)
    if config.momentum:  # a fused step cannot begin with some of them later than with others, as frozen layers do
        for parameter in trained:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def make_scheduler(config: OptimConfig, optimizer: Optimizer) -> LRScheduler:
    """The schedule, to be stepped once after each epoch."""
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=config.cosine_epochs, eta_min=config.min_lr)
    if config.schedule == "step":
        return StepLR(optimizer, step_size=config.step_epochs, gamma=config.step_factor)
    return ConstantLR(optimizer, factor=1.0)
