"""The training loop of s4mi for benchmarks, set up as in `training/session.py`."""

import itertools
from collections.abc import Iterator

from s4mi.contract import Batch, Method, TrainLoader
from s4mi.engine.cpu.optimise import optimise_for_device
from s4mi.engine.fabric import Fabric
from s4mi.engine.fit import Step, fit
from s4mi.engine.optim import make_optimizer, make_scheduler
from s4mi.settings.optim import OptimConfig

OPTIM = OptimConfig()


class Repeated:
    """A train loader that repeats one batch."""

    def __init__(self, batch: Batch, steps: int) -> None:
        self.batch, self.steps = batch, steps

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return itertools.repeat(self.batch, self.steps)


def our_steps(
    method: Method, stream: TrainLoader, *, epochs: int, first_epoch: int = 1, optim: OptimConfig = OPTIM
) -> Iterator[Step]:
    """Train on the CPU; yield each step."""
    fabric = Fabric(accelerator="cpu", devices=1)
    optimise_for_device(method, fabric.device)
    optimizer = make_optimizer(optim, method.parameters(), device=fabric.device)
    scheduler = make_scheduler(optim, optimizer)
    yield from fit(fabric, method, optimizer, scheduler, stream, epochs=epochs, first_epoch=first_epoch)
