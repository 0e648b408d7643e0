"""Networks translated by `torch.compile`, for who wants it: `hardware.compile`.

A step's shapes are the same from step to step, so each of them gets code of its own: of one size of crops, of training
and of scoring. What a network computes stays the same up to rounding; weights and their names know nothing of it.
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
"""Of one network: batches and crops of so many sizes, in training and without gradients, before torch gives up."""


def compile_networks(module: nn.Module, device: torch.device) -> list[str]:
    """Have the networks within a module compiled when they are first called; the names of them.

    What is called in another way than as a function, such as `Backbone.feature_map`, runs as before.

    Raises:
        S4miError: torch cannot compile for this device, for want of a C++ compiler or of Triton.
    """
    _try(device)
    torch._dynamo.config.recompile_limit = SHAPES
    return _compile(module)


def _compile(module: nn.Module, within: str = "") -> list[str]:
    found = []
    for name, child in module.named_children():
        path = f"{within}{name}"
        if isinstance(child, NETWORKS):
            child.compile(backend=BACKEND, dynamic=False)
            found.append(path)
        else:
            found += _compile(child, f"{path}.")
    return found


def _try(device: torch.device) -> None:
    """A sum, so that what is missing is said before anything is trained."""
    try:
        torch.compile(lambda x: x + 1, backend=BACKEND, dynamic=False)(torch.zeros(2, device=device))
    except (RuntimeError, ImportError) as error:
        cause = getattr(error, "inner_exception", error)  # dynamo wraps what a backend raises in lines of advice
        reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        raise S4miError(
            f"hardware.compile: torch.compile does not work here for {device.type} ({reason}); "
            "install what is missing, or set hardware.compile=false"
        ) from error
