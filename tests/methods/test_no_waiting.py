"""No method synchronises with the device within an epoch.

Backward passes are left out: autograd needs a real device for them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from itertools import islice
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from test_conformance import batch_of, build, every_task_of_every_trained_method
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from fake_gpu import GPU, not_waited_for
from s4mi.contract import Batch, Method, MethodConfig
from s4mi.engine.fit import Step, fit
from s4mi.engine.optim import make_optimizer, make_scheduler
from s4mi.maths import mini_batch_kmeans, pixel_clusters
from s4mi.methods.classification import finetune_pseudo_labels
from s4mi.methods.segmentation import frozen_teacher, picie
from s4mi.records import TaskKind
from s4mi.settings.optim import OptimConfig

STEPS = 3
"""Steps per epoch."""


@contextmanager
def fake_device() -> Iterator[None]:
    """Forbid synchronisation; PiCIE's generator and gradients within a loss, which need a real device, are replaced."""
    with pytest.MonkeyPatch.context() as patched, not_waited_for():
        patched.setattr(picie, "_generator", lambda _device: torch.Generator())
        patched.setattr(torch.autograd, "grad", lambda _of, by, **_: (torch.zeros_like(by),))
        yield


class OnGpu(Fabric):
    """Fabric as with a GPU, except for the backward pass, whose gradients are 0."""

    def __init__(self, method: Method) -> None:
        super().__init__(accelerator="cpu", devices=1)
        self.method = method

    @property
    def device(self) -> torch.device:
        return GPU

    def _move_model_to_device(self, model: nn.Module, **_: Any) -> nn.Module:
        return model  # it is on the device already

    def backward(self, *_: Any, **__: Any) -> None:
        for parameter in self.method.parameters():
            parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None


class Epochs:
    """A loader that repeats one batch."""

    steps = STEPS

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return iter([self.batch] * STEPS)


def on_gpu(method: Method) -> Method:
    """Move all parameters and buffers to the GPU."""
    for module in method.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                empty = torch.empty_like(parameter, device=GPU)
                module._parameters[name] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else torch.empty_like(buffer, device=GPU)
    return method


def batch_on_gpu(batch: Batch) -> Batch:
    """Move all tensors except the row numbers."""
    given = {each.name: getattr(batch, each.name) for each in fields(batch) if each.name != "rows"}
    return replace(batch, **{name: torch.empty_like(t, device=GPU) for name, t in given.items() if t is not None})


def training(method: Method, batch: Batch) -> Iterator[Step]:
    """An epoch with every part of a step, gradient clipping included."""
    settings = OptimConfig()
    optimizer = make_optimizer(settings, method.parameters(), device=GPU)
    scheduler = make_scheduler(settings, optimizer)
    return fit(OnGpu(method), method, optimizer, scheduler, Epochs(batch), epochs=1, clip_norm=1.0)


@pytest.fixture
def no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the checks of PiCIE's clusters, and the fit of a teacher, which synchronise once, before the first step."""
    monkeypatch.setattr(pixel_clusters, "check_finite", lambda _: None)
    monkeypatch.setattr(mini_batch_kmeans.MiniBatchKMeans, "check", lambda _: None)
    monkeypatch.setattr(picie.PixelClustering, "_check", lambda *_: None)
    monkeypatch.setattr(frozen_teacher.FrozenTeacher, "before_epoch", lambda *_: None)
    monkeypatch.setattr(finetune_pseudo_labels.FinetunePseudoLabels, "before_epoch", lambda *_: None)


@pytest.mark.long
@every_task_of_every_trained_method
@pytest.mark.usefixtures("no_checks")
def test_an_epoch_synchronises_at_its_end_and_not_before(config: type[MethodConfig], kind: TaskKind) -> None:
    method, batch = build(config, kind), batch_of(config, kind)
    with fake_device():
        steps = training(on_gpu(method), batch_on_gpu(batch))
        assert len(list(islice(steps, STEPS - 1))) == STEPS - 1
        with pytest.raises(DataDependentOutputException):  # the losses are read
            next(steps)


def test_a_copy_that_synchronises_is_caught() -> None:
    with fake_device():
        here = torch.zeros(3)
        here.to(GPU, non_blocking=True)
        with pytest.raises(AssertionError, match="is waited for"):
            here.to(GPU)
        with pytest.raises(AssertionError, match="is waited for"):
            torch.empty(3, device=GPU).copy_(here)
