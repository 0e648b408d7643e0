"""Checkpoints that survive `kill -9` at any moment.

    last.safetensors    weights after the last finished epoch
    training.pt         optimiser, schedule and counters of the same epoch
    best.safetensors    weights of the best epoch by validation

`last.safetensors` and `training.pt` belong together but are two files. Both are first written under temporary names.
Replacing `training.pt` commits the new epoch; if the process dies before the weights are renamed as well, the next
`load_last` renames them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from s4mi.errors import S4miError
from s4mi.records.atomic import replacing, sync
from s4mi.records.checkpoint_files import BEST, LAST, TRAINING


def save_last(folder: Path, weights: Mapping[str, Tensor], training: Mapping[str, Any], *, epoch: int) -> None:
    """Save the state after `epoch`, atomically: `load_last` returns either this state or that of the previous save."""
    pending = folder / f"{LAST}.new"
    _write_weights(pending, weights, epoch=epoch)
    with replacing(folder / TRAINING) as draft:
        torch.save({**training, "epoch": epoch}, draft)
    pending.replace(folder / LAST)
    sync(folder)


def save_best(folder: Path, weights: Mapping[str, Tensor], *, epoch: int) -> None:
    """Save the weights of the best epoch so far, atomically."""
    _write_weights(folder / BEST, weights, epoch=epoch)
    sync(folder)


def load_last(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return weights and training state of the last saved epoch, on the CPU, or None if no epoch was finished.

    Raises:
        S4miError: the files are damaged.
    """
    path = folder / TRAINING
    if not path.exists():
        return None
    try:
        training: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        int(training["epoch"])
    except Exception as error:  # zip and pickle raise different types
        raise S4miError(f"{path}: damaged ({error}); start the run again in another folder") from error
    pending = folder / f"{LAST}.new"
    if pending.exists() and _epoch_of(pending) == training["epoch"]:
        pending.replace(folder / LAST)
    if _epoch_of(folder / LAST) != training["epoch"]:
        raise S4miError(
            f"{folder / LAST}: not the weights of epoch {training['epoch']}; start the run again in another folder"
        )
    return load_weights(folder / LAST), training


def restore_weights(net: nn.Module, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Give a network the weights of a checkpoint in `folder`.

    Raises:
        S4miError: they are those of another network.
    """
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        problem = str(error).strip().splitlines()[-1].strip()
        raise S4miError(
            f"{folder}: weights of another network, or damaged ({problem}); start the run again in another folder"
        ) from error


def load_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weight file, on the CPU.

    Raises:
        S4miError: the file does not exist or is damaged.
    """
    if not path.exists():
        raise S4miError(f"{path}: not found; the run has not finished an epoch, resume it")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise S4miError(f"{path}: damaged ({error}); train the run again") from error


def _write_weights(path: Path, weights: Mapping[str, Tensor], *, epoch: int) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with replacing(path) as draft:
        save_file(tensors, draft, metadata={"epoch": str(epoch)})


def _epoch_of(path: Path) -> int | None:
    try:
        with safe_open(path, framework="pt") as file:
            return int((file.metadata() or {}).get("epoch", -1))
    except (OSError, SafetensorError):
        return None
