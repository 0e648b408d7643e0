"""Memory layout and layers that are fastest on a device."""

import torch
from torch import nn

from s4mi.engine.cpu.matmul_conv import speed_up_small_maps
from s4mi.engine.cpu.narrow_batch_norm import speed_up_narrow_batch_norm


def optimise_for_device(module: nn.Module, device: torch.device) -> None:
    """Move a module to a device in channels-last layout, which suits CPUs and most GPUs, and replace layers on CPUs."""
    module.to(device)
    if device.type != "mps":
        module.to(memory_format=torch.channels_last)
    if device.type == "cpu":
        speed_up_small_maps(module)
        speed_up_narrow_batch_norm(module)
