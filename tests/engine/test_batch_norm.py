"""Synchronised batch normalisation equals torch's on the whole batch: forward, backward and running statistics."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers import BatchNormAct2d
from torch import Tensor, multiprocessing, nn

from s4mi.engine.batch_norm import SyncedBatchNorm, sync_batch_norm

WORLD = 2


def layers() -> dict[str, tuple[nn.Module, Tensor]]:
    """Layers with a batch of five each, three of which go to the first process."""
    draws = torch.Generator().manual_seed(0)
    maps = 3 + 5 * torch.randn(5, 4, 3, 2, generator=draws, dtype=torch.float64)
    return {
        "maps": (nn.BatchNorm2d(4), maps),
        "vectors": (nn.BatchNorm1d(4), maps[:, :, 0, 0]),
        "activated": (BatchNormAct2d(4), maps),
        "cumulative": (nn.BatchNorm2d(4, momentum=None), maps),
        "plain": (nn.BatchNorm2d(4, affine=False), maps),
    }


def outputs_of(layer: nn.Module, x: Tensor) -> dict[str, Any]:
    """Output, gradients and state after two forward passes, one backward pass and one pass in evaluation mode."""
    x = x.clone().requires_grad_(True)
    layer(x.detach() * 2)
    y = layer(x)
    (y * (1 + torch.arange(y[0].numel(), dtype=y.dtype).reshape(y[0].shape))).square().sum().backward()
    gradients = {name: weight.grad for name, weight in layer.named_parameters()}
    return {"y": y.detach(), "x": x.grad, "seen": layer.eval()(x).detach(), "weights": gradients, **layer.state_dict()}


def work(rank: int, port: int, out: str) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=WORLD)
    cpu = torch.device("cpu")
    results = {
        name: outputs_of(sync_batch_norm(layer.double(), device=cpu), x[rank::WORLD])
        for name, (layer, x) in layers().items()
    }
    torch.save(results, Path(out) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, args=(port, str(tmp_path)), nprocs=WORLD)  # type: ignore[no-untyped-call]
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]
    for name, (layer, x) in layers().items():
        whole = outputs_of(layer.double(), x)
        for rank, part in enumerate(parts):
            for key in ("y", "x", "seen"):
                torch.testing.assert_close(part[name][key], whole[key][rank::WORLD])
            for key in ("running_mean", "running_var", "num_batches_tracked"):
                torch.testing.assert_close(part[name][key], whole[key])
        for key, gradient in whole["weights"].items():
            torch.testing.assert_close(parts[0][name]["weights"][key] + parts[1][name]["weights"][key], gradient)


def test_parameters_keep_their_names_and_evaluation_its_outputs() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 1), BatchNormAct2d(4), nn.Sequential(nn.BatchNorm2d(4)))
    names, x = list(net.state_dict()), torch.randn(2, 3, 4, 4)
    for _ in range(2):
        net(x)
    before = net.eval()(x)
    synced = sync_batch_norm(net, device=torch.device("cpu"))
    assert sum(isinstance(module, SyncedBatchNorm) for module in synced.modules()) == 2
    assert list(synced.state_dict()) == names
    assert torch.equal(synced(x), before)
