"""The loop of s4mi as a user has it, for benchmarks that time it: what `recipes/running/session.py` puts together."""

from collections.abc import Iterator

from lightning_fabric import Fabric

from s4mi.contract import Method, Stream
from s4mi.engine.fit import Step, fit
from s4mi.engine.layout import lay_out
from s4mi.engine.optim import OptimConfig, make_optimizer, make_scheduler

OPTIM = OptimConfig()


def our_steps(
    method: Method, stream: Stream, *, epochs: int, first_epoch: int = 1, optim: OptimConfig = OPTIM
) -> Iterator[Step]:
    """Train on the CPU, a step each time."""
    fabric = Fabric(accelerator="cpu", devices=1)
    lay_out(method, fabric.device)
    optimizer = make_optimizer(optim, method.parameters(), device=fabric.device)
    scheduler = make_scheduler(optim, optimizer)
    yield from fit(fabric, method, optimizer, scheduler, stream, epochs=epochs, first_epoch=first_epoch)
