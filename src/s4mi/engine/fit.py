"""THE loop. One generator shared by every method; whoever consumes its `Step`s logs, validates and saves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from s4mi.contract import Batch, Losses, Method, TrainLoader, TrainState
from s4mi.maths.distributed import from_first_process

CHECK_EVERY = 32
"""Steps between two looks at the loss on an accelerator, where every look waits for the device."""


@dataclass(frozen=True)
class Step:
    """One optimiser step.

    Attributes:
        epoch: from 1. index: from 1 within the epoch. of: steps in the epoch.
        losses: the named terms and their `total`, detached scalars on the device.
        images: images seen in this step by this process. The losses are those of the images of all processes.
    """

    epoch: int
    index: int
    of: int
    losses: Mapping[str, Tensor]
    images: int

    @property
    def ends_epoch(self) -> bool:
        """Whether this was the epoch's last step; the schedule has been stepped then."""
        return self.index == self.of


class LossNotFiniteError(Exception):
    """The loss became NaN or infinite.

    Attributes:
        epoch, index: where. rows: manifest rows of the batch. terms: value of each term of the loss.
    """

    def __init__(self, *, epoch: int, index: int, rows: tuple[int, ...], terms: Mapping[str, float]) -> None:
        super().__init__(f"epoch {epoch}, step {index}")
        self.epoch, self.index, self.rows, self.terms = epoch, index, rows, terms


def fit(
    fabric: Fabric,
    method: Method,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    stream: TrainLoader,
    *,
    epochs: int,
    first_epoch: int = 1,
    seed: int = 0,
    clip_norm: float | None = None,
) -> Iterator[Step]:
    """Train `method` for epochs `first_epoch`..`epochs`, yielding after each optimiser step.

    The global random generator is seeded anew each epoch from (`seed`, epoch), so that a run resumed at an epoch draws
    what an uninterrupted one draws there.

    Raises:
        CollapseError: the method says so.
        LossNotFiniteError: as soon as it is seen; the weights are spoilt by then.
    """
    module, optimizer = fabric.setup(_Training(method), optimizer)
    watch = _Watch(fabric, every=1 if fabric.device.type == "cpu" else CHECK_EVERY)
    total_steps = epochs * stream.steps
    for epoch in range(first_epoch, epochs + 1):
        torch.manual_seed(int(np.random.SeedSequence([seed, 3, epoch]).generate_state(1)[0]))
        method.train()
        with fabric.autocast():
            method.before_epoch(stream.epoch(epoch))
        for index, batch in enumerate(stream.epoch(epoch), start=1):
            moment = TrainState((epoch - 1) * stream.steps + index - 1, stream.steps, total_steps)
            method.before_step(moment)
            optimizer.zero_grad(set_to_none=True)  # before the activations need the room that old gradients take
            losses = Losses(**module(_Held(batch)))
            total = losses.total
            fabric.backward(total)
            method.after_backward(moment)
            if clip_norm is not None:
                # An infinite gradient makes infinite losses, which are looked at; to look at it would be to wait.
                fabric.clip_gradients(module, optimizer, max_norm=clip_norm, error_if_nonfinite=False)
            optimizer.step()
            method.after_step(replace(moment, step=moment.step + 1))
            seen = {name: loss.detach() for name, loss in losses.items()} | {"total": total.detach()}
            watch.see(epoch, index, rows=batch.rows, losses=seen, last=index == stream.steps)
            if index == stream.steps:
                scheduler.step()
                _agree_on_buffers(method)
            yield Step(epoch=epoch, index=index, of=stream.steps, losses=seen, images=len(batch.rows))


@torch.no_grad()
def _agree_on_buffers(method: Method) -> None:
    """What is saved and what is scored are the first process's, where each has averages of its own."""
    for buffer in method.buffers():
        if (first := from_first_process(buffer)) is not buffer:
            buffer.copy_(first)


class _Held:
    """A batch in an opaque box: Fabric and DDP take apart collections to move them, and a batch is where it belongs."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class _Training(nn.Module):
    """A method whose forward pass is its loss, so that Fabric's precision and DDP's gradient hooks see it."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, held: _Held) -> dict[str, Tensor]:
        return dict(self.method.loss(held.batch))


class _Watch:
    """Looks at the losses every few steps and stops at the first that is not finite, in all processes at once."""

    def __init__(self, fabric: Fabric, *, every: int) -> None:
        self._fabric, self._every = fabric, every
        self._waiting: list[dict[str, Any]] = []

    def see(self, epoch: int, index: int, *, rows: Tensor, losses: Mapping[str, Tensor], last: bool) -> None:
        self._waiting.append({"epoch": epoch, "index": index, "rows": rows, "losses": losses})
        if len(self._waiting) < self._every and not last:
            return
        waiting, self._waiting = self._waiting, []
        infinite = ~torch.isfinite(torch.stack([step["losses"]["total"] for step in waiting]))
        anywhere: Tensor = self._fabric.all_reduce(infinite.float(), reduce_op="sum")  # type: ignore[assignment]
        if not bool(anywhere.any()):
            return
        bad = waiting[int((anywhere > 0).nonzero()[0])]
        raise LossNotFiniteError(
            epoch=bad["epoch"],
            index=bad["index"],
            rows=tuple(bad["rows"].tolist()),
            terms={name: float(value) for name, value in bad["losses"].items()},
        )
