"""Networks compiled by `torch.compile`, if `hardware.compile` is set.

Shapes are the same in every step, so networks are compiled for static shapes: once per size of crops, in training and
in evaluation. Outputs are the same up to rounding; parameters and their names do not change.
"""

import torch
from torch import nn

from s4mi.errors import S4miError
from s4mi.nets.backbone import Backbone
from s4mi.nets.fpn import FPN
from s4mi.nets.segmentation import SegmentationNet

BACKEND = "inductor"
NETWORKS = (Backbone, SegmentationNet, FPN)
SHAPES = 64
"""Limit of compilations per network: sizes of batches and crops, with and without gradients."""


def compile_networks(module: nn.Module, device: torch.device) -> list[str]:
    """Compile the networks within a module at their first call; return their names.

    Only calls of the network itself are compiled, not other methods such as `Backbone.feature_map`.

    Raises:
        S4miError: torch cannot compile for this device, e.g. because a C++ compiler or Triton is missing.
    """
    _check_compiler(device)
    torch._dynamo.config.recompile_limit = SHAPES
    return _compile(module)


def _compile(module: nn.Module, prefix: str = "") -> list[str]:
    names = []
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, NETWORKS):
            child.compile(backend=BACKEND, dynamic=False)
            names.append(path)
        else:
            names += _compile(child, f"{path}.")
    return names


def _check_compiler(device: torch.device) -> None:
    """Compile a trivial function, to report missing tools before training starts."""
    try:
        torch.compile(lambda x: x + 1, backend=BACKEND, dynamic=False)(torch.zeros(2, device=device))
    except (RuntimeError, ImportError) as error:
        cause = getattr(error, "inner_exception", error)  # dynamo wraps errors of the backend in lines of advice
        reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        raise S4miError(
            f"hardware.compile: torch.compile does not work on this machine for {device.type} ({reason}); "
            "install what is missing, or set hardware.compile=false"
        ) from error
