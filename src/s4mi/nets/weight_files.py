"""Weight files: their tensors, out of whatever containers training code puts them in, and the hash of their content."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch
from torch import Tensor

from s4mi.errors import S4miError

CONTAINERS = (
    "state_dict_ema", "model_ema", "teacher", "state_dict", "model_state_dict", "model", "net", "network", "module",
    "encoder", "backbone", "weights", "params", "student",
)  # fmt: skip
"""Names under which training code keeps its weights; of several in a file the first here is used, as its authors do."""

_NUMPY: Any = np._core.multiarray  # type: ignore[attr-defined]
SAFE: list[Any] = [
    argparse.Namespace, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType,
    (_NUMPY.scalar, "numpy.core.multiarray.scalar"), (_NUMPY.scalar, "numpy._core.multiarray.scalar"),
]  # fmt: skip
"""Plain values that checkpoints hold beside their weights: the settings of the program, and scores as numpy scalars."""


@dataclass(frozen=True)
class WeightFile:
    """The tensors of a weight file by name, and the container they were in, such as `teacher`; empty: none."""

    tensors: dict[str, Tensor]
    container: str


def read_file(path: str, *, name: str) -> WeightFile:
    """Read the tensors of a weight file for the network `name`.

    Raises:
        S4miError: not a weight file, or one with objects that are not read, as reading them could run code.
    """
    try:
        contents: Any
        if path.endswith(".safetensors"):
            contents = safetensors.torch.load_file(path)
        else:
            with torch.serialization.safe_globals(SAFE):
                contents = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and safetensors raise errors of different classes
        raise _unreadable(path, str(error).strip(), name=name) from error
    if not isinstance(contents, Mapping):
        kind = type(contents).__name__
        raise S4miError(f"{path}: not a valid weight file (holds a {kind}); pass a .safetensors or .pth of {name!r}")
    steps: list[str] = []
    while not _tensors(contents):
        step = _container(contents, path=path)
        steps.append(step)
        contents = contents[step]
    return WeightFile(timm.models.clean_state_dict(_tensors(contents)), ".".join(steps))


def _tensors(contents: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(key): value for key, value in contents.items() if isinstance(value, Tensor)}


def _container(contents: Mapping[Any, Any], *, path: str) -> str:
    """The name of the part of a checkpoint that holds the weights."""
    named = [str(key) for key, value in contents.items() if isinstance(value, Mapping) and _holds_tensors(value)]
    for name in CONTAINERS:
        if name in named:
            return name
    others = [key for key in named if not re.search("optim|sched|scaler|loss|state$", key, re.IGNORECASE)]
    if len(others) == 1:
        return others[0]
    held = ", ".join(repr(str(key)) for key in list(contents)[:8]) or "nothing"
    raise S4miError(
        f"{path}: holds {held}, of which {'several hold' if others else 'none holds'} tensors; save the weights alone: "
        "torch.save(net.state_dict(), 'weights.pth')"
    )


def _holds_tensors(contents: Mapping[Any, Any]) -> bool:
    values = contents.values()
    return any(isinstance(value, Tensor) or (isinstance(value, Mapping) and _holds_tensors(value)) for value in values)


def _unreadable(path: str, message: str, *, name: str) -> S4miError:
    line = message.partition("\n")[0]
    found = re.search(r"GLOBAL ([\w.]+)", message)
    if "lightly_train" in message:
        exported = Path("exported_models") / "exported_last.pt"
        return S4miError(f"{path}: a checkpoint of lightly-train; pass {exported} of the same run instead")
    if found is not None and "weights_only" in message.lower():
        return S4miError(
            f"{path}: not a valid weight file (holds a {found.group(1)}, which is not read as that could run code); "
            "save the weights alone: torch.save(checkpoint['state_dict'], 'weights.pth')"
        )
    return S4miError(f"{path}: not a valid weight file ({line}); pass a .safetensors or .pth of {name!r}")
