"""From the first step of an epoch to its last nothing waits for the device, whatever the method.

Backward passes are left out: autograd wants a real device for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from itertools import islice
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from test_conformance import batch_of, build, every_task_of_every_method
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from fake_gpu import GPU, not_waited_for
from s4mi.contract import Batch, Method, MethodConfig
from s4mi.engine.fit import Step, fit
from s4mi.engine.optim import OptimConfig, make_optimizer, make_scheduler
from s4mi.maths import mini_batch_kmeans, pixel_clusters
from s4mi.methods.segmentation import picie
from s4mi.records import TaskKind

STEPS = 4
"""Of an epoch."""


@contextmanager
def pretended() -> Iterator[None]:
    """Nobody waits for the device, and what takes a real one, PiCIE's generator and slopes in a loss, has stand-ins."""
    with pytest.MonkeyPatch.context() as patched, not_waited_for():
        patched.setattr(picie, "_generator", lambda _device: torch.Generator())
        patched.setattr(torch.autograd, "grad", lambda _of, by, **_: (torch.zeros_like(by),))
        yield


class OnGpu(Fabric):
    """Fabric as it is with a GPU, but for the backward pass, which finds slopes of 0."""

    def __init__(self, method: Method) -> None:
        super().__init__(accelerator="cpu", devices=1)
        self.method = method

    @property
    def device(self) -> torch.device:
        return GPU

    def _move_model_to_device(self, model: nn.Module, **_: Any) -> nn.Module:
        return model  # it is there

    def backward(self, *_: Any, **__: Any) -> None:
        for parameter in self.method.parameters():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None


class Epochs:
    """A stream of one batch, again and again."""

    steps = STEPS

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return iter([self.batch] * STEPS)


def moved(method: Method) -> Method:
    """With all parameters and buffers on the GPU."""
    for module in method.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                there = torch.empty_like(parameter, device=GPU)
                module._parameters[name] = nn.Parameter(there, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else torch.empty_like(buffer, device=GPU)
    return method


def there(batch: Batch) -> Batch:
    """All of it but the row numbers."""
    given = {each.name: getattr(batch, each.name) for each in fields(batch) if each.name != "rows"}
    return replace(batch, **{name: torch.empty_like(t, device=GPU) for name, t in given.items() if t is not None})


def training(method: Method, batch: Batch) -> Iterator[Step]:
    """An epoch, with all there can be in its steps."""
    settings = OptimConfig()
    optimizer = make_optimizer(settings, method.parameters(), device=GPU)
    scheduler = make_scheduler(settings, optimizer)
    return fit(OnGpu(method), method, optimizer, scheduler, Epochs(batch), epochs=1, clip_norm=1.0)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """PiCIE looks at its clusters once, before the first step: here they are as they should be."""
    monkeypatch.setattr(pixel_clusters, "refuse_infinite", lambda _: None)
    monkeypatch.setattr(mini_batch_kmeans.MiniBatchKMeans, "check", lambda _: None)
    monkeypatch.setattr(picie.PixelClustering, "_check", lambda *_: None)


@every_task_of_every_method
@pytest.mark.usefixtures("found")
def test_an_epoch_waits_for_the_device_at_its_end_and_not_before(config: type[MethodConfig], kind: TaskKind) -> None:
    method, batch = build(config, kind), batch_of(config, kind)
    with pretended():
        steps = training(moved(method), there(batch))
        assert len(list(islice(steps, STEPS - 1))) == STEPS - 1
        with pytest.raises(DataDependentOutputException):  # the losses are looked at
            next(steps)


def test_a_copy_that_is_waited_for_is_caught() -> None:
    with pretended():
        here = torch.zeros(3)
        here.to(GPU, non_blocking=True)
        with pytest.raises(AssertionError, match="is waited for"):
            here.to(GPU)
        with pytest.raises(AssertionError, match="is waited for"):
            torch.empty(3, device=GPU).copy_(here)
