"""Optimisers and learning-rate schedules (S4MI section 3.3).

A parameter with an attribute `lr_scale`, such as that of a pre-trained encoder, is trained at this multiple of the
learning rate.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LambdaLR, LRScheduler, StepLR

from s4mi.settings.optim import OptimConfig


def make_optimizer(config: OptimConfig, parameters: Iterable[nn.Parameter], *, device: torch.device) -> Optimizer:
    """Return the optimiser, in its fused implementation where the device has one."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    # A fused step unscales 16-bit gradients internally, so they cannot be clipped in between.
    fused = device.type == "cpu" or (device.type == "cuda" and config.clip_norm is None)
    groups = _groups(trained, config.lr)
    if config.name == "adam":
        return Adam(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    if config.name == "adamw":
        return AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    sgd = SGD(groups, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum, fused=fused)
    if config.momentum:  # a fused step needs the buffers of all parameters, also of those frozen in the first steps
        for parameter in trained:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _groups(trained: list[nn.Parameter], lr: float) -> list[Any]:
    """The parameters, or one group of them for each learning rate if there are several."""
    scales = list(dict.fromkeys(getattr(parameter, "lr_scale", 1.0) for parameter in trained))
    if scales in ([], [1.0]):
        return trained
    return [
        {"params": [each for each in trained if getattr(each, "lr_scale", 1.0) == scale], "lr": lr * scale}
        for scale in scales
    ]


def make_scheduler(config: OptimConfig, optimizer: Optimizer) -> LRScheduler:
    """Return the learning-rate schedule, to be stepped after each epoch."""
    if config.schedule == "cosine" and any(group["lr"] != config.lr for group in optimizer.param_groups):
        return LambdaLR(optimizer, lambda epoch: _cosine(config, epoch) / config.lr)
    if config.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=config.cosine_epochs, eta_min=config.min_lr)
    if config.schedule == "step":
        return StepLR(optimizer, step_size=config.step_epochs, gamma=config.step_factor)
    return ConstantLR(optimizer, factor=1.0)


def _cosine(config: OptimConfig, epoch: int) -> float:
    """The cosine schedule in closed form; torch's has one least learning rate for all groups of parameters."""
    fall = (1 + math.cos(math.pi * epoch / config.cosine_epochs)) / 2
    return config.min_lr + (config.lr - config.min_lr) * fall
