"""How a network lies in memory, so that a device works on it fastest."""

import torch
from torch import nn

from s4mi.engine.cpu.matmul_conv import speed_up_small_maps
from s4mi.engine.cpu.narrow_batch_norm import speed_up_narrow_batch_norm


def optimise_for_device(module: nn.Module, device: torch.device) -> None:
    """Move a module to a device; channels come last, as suits convolutions on CPUs and on most GPUs alike."""
    module.to(device)
    if device.type != "mps":
        module.to(memory_format=torch.channels_last)
    if device.type == "cpu":
        speed_up_small_maps(module)
        speed_up_narrow_batch_norm(module)
