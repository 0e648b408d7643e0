"""The loop of s4mi as a user has it, for benchmarks that time it: what `training/session.py` puts together."""

import itertools
from collections.abc import Iterator

from lightning_fabric import Fabric

from s4mi.contract import Batch, Method, TrainLoader
from s4mi.engine.cpu.optimise import optimise_for_device
from s4mi.engine.fit import Step, fit
from s4mi.engine.optim import OptimConfig, make_optimizer, make_scheduler

OPTIM = OptimConfig()


class Repeated:
    """A stream of one batch, so many times an epoch."""

    def __init__(self, batch: Batch, steps: int) -> None:
        self.batch, self.steps = batch, steps

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return itertools.repeat(self.batch, self.steps)


def our_steps(
    method: Method, stream: TrainLoader, *, epochs: int, first_epoch: int = 1, optim: OptimConfig = OPTIM
) -> Iterator[Step]:
    """Train on the CPU, a step each time."""
    fabric = Fabric(accelerator="cpu", devices=1)
    optimise_for_device(method, fabric.device)
    optimizer = make_optimizer(optim, method.parameters(), device=fabric.device)
    scheduler = make_scheduler(optim, optimizer)
    yield from fit(fabric, method, optimizer, scheduler, stream, epochs=epochs, first_epoch=first_epoch)
