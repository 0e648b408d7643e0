"""The training loop: one generator shared by all methods, whose consumer logs, validates and saves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s4mi.contract import Batch, Losses, Method, TrainLoader, TrainState
from s4mi.engine.fabric import Fabric
from s4mi.maths.distributed import from_first_process

CHECK_EVERY = 32
"""Steps between two checks of the loss on an accelerator, where each check is a host synchronisation."""


@dataclass(frozen=True)
class Step:
    """One optimiser step.

    Attributes:
        epoch: epoch, counted from 1.
        index: step within the epoch, counted from 1.
        of: number of steps in the epoch.
        losses: loss terms by name and their `total`, over the images of all processes; detached scalars on the device.
        images: number of images in this step on this process.
        lr: learning rate of the step, of the first of several groups of parameters.
    """

    epoch: int
    index: int
    of: int
    losses: Mapping[str, Tensor]
    images: int
    lr: float

    @property
    def ends_epoch(self) -> bool:
        """Whether this is the last step of the epoch, after which the learning-rate schedule has been stepped."""
        return self.index == self.of


class LossNotFiniteError(Exception):
    """The loss became NaN or infinite.

    Attributes:
        epoch, index: epoch and step, counted from 1.
        rows: manifest rows of the batch.
        terms: value of each loss term.
    """

    def __init__(self, *, epoch: int, index: int, rows: tuple[int, ...], terms: Mapping[str, float]) -> None:
        super().__init__(f"epoch {epoch}, step {index}")
        self.epoch, self.index, self.rows, self.terms = epoch, index, rows, terms


def fit(
    fabric: Fabric,
    method: Method,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    loader: TrainLoader,
    *,
    epochs: int,
    first_epoch: int = 1,
    seed: int = 0,
    clip_norm: float | None = None,
) -> Iterator[Step]:
    """Train `method` for epochs `first_epoch` to `epochs`, yielding after each optimiser step.

    The global random generator is seeded from (`seed`, epoch) at the start of each epoch, so that a resumed run draws
    the same numbers as an uninterrupted one.

    Raises:
        CollapseError: raised by the method.
        LossNotFiniteError: a loss is NaN or infinite; by then the weights are unusable.
    """
    module, optimizer = fabric.setup(_LossModule(method), optimizer)
    monitor = _LossMonitor(fabric, every=1 if fabric.device.type == "cpu" else CHECK_EVERY)
    total_steps = epochs * loader.steps
    for epoch in range(first_epoch, epochs + 1):
        torch.manual_seed(int(np.random.SeedSequence([seed, 3, epoch]).generate_state(1)[0]))
        method.train()
        with fabric.autocast():
            method.before_epoch(loader.epoch(epoch))
        for index, batch in enumerate(loader.epoch(epoch), start=1):
            state = TrainState((epoch - 1) * loader.steps + index - 1, loader.steps, total_steps)
            method.before_step(state)
            optimizer.zero_grad(set_to_none=True)  # free old gradients before the forward pass allocates activations
            losses = Losses(**module(_OpaqueBatch(batch)))
            total = losses.total
            fabric.backward(total)
            method.after_backward(state)
            if clip_norm is not None:
                # Checking gradients would synchronise with the device; infinite ones show in the losses anyway.
                fabric.clip_gradients(module, optimizer, max_norm=clip_norm, error_if_nonfinite=False)
            optimizer.step()
            lr = float(optimizer.param_groups[0]["lr"])
            method.after_step(replace(state, step=state.step + 1))
            detached = {name: loss.detach() for name, loss in losses.items()} | {"total": total.detach()}
            monitor.add(epoch, index, rows=batch.rows, losses=detached, last=index == loader.steps)
            if index == loader.steps:
                scheduler.step()
                _broadcast_buffers(method)
            yield Step(epoch=epoch, index=index, of=loader.steps, losses=detached, images=len(batch.rows), lr=lr)


@torch.no_grad()
def _broadcast_buffers(method: Method) -> None:
    """Copy the buffers of the first process to all, so that all score what is saved."""
    for buffer in method.buffers():
        if (first := from_first_process(buffer)) is not buffer:
            buffer.copy_(first)


class _OpaqueBatch:
    """Wraps a batch, which Fabric and DDP would otherwise traverse to move its tensors to a device they are on."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class _LossModule(nn.Module):
    """Computes the loss of a method as a forward pass, so that Fabric's precision and DDP's gradient hooks apply."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, wrapped: _OpaqueBatch) -> dict[str, Tensor]:
        return dict(self.method.loss(wrapped.batch))


class _LossMonitor:
    """Checks the losses every few steps and raises at the first that is not finite, in all processes at once."""

    def __init__(self, fabric: Fabric, *, every: int) -> None:
        self._fabric, self._every = fabric, every
        self._unchecked: list[dict[str, Any]] = []

    def add(self, epoch: int, index: int, *, rows: Tensor, losses: Mapping[str, Tensor], last: bool) -> None:
        self._unchecked.append({"epoch": epoch, "index": index, "rows": rows, "losses": losses})
        if len(self._unchecked) < self._every and not last:
            return
        unchecked, self._unchecked = self._unchecked, []
        infinite = ~torch.isfinite(torch.stack([step["losses"]["total"] for step in unchecked]))
        anywhere: Tensor = self._fabric.all_reduce(infinite.float(), reduce_op="sum")  # type: ignore[assignment]
        if not bool(anywhere.any()):
            return
        first = unchecked[int((anywhere > 0).nonzero()[0])]
        raise LossNotFiniteError(
            epoch=first["epoch"],
            index=first["index"],
            rows=tuple(first["rows"].tolist()),
            terms={name: float(value) for name, value in first["losses"].items()},
        )
