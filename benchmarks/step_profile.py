"""Where the time of a training step goes: products, other operators, Python.

    python benchmarks/step_profile.py [--steps N]

The steps are those of the summary, of both sides, each side in its own process, on batches in memory:

    products     convolutions, matrix products and attention, forward and backward; their floating-point operations are
                 counted as torch executes them, which gives their speed
    operators    all others, such as batch normalisation, ReLU, additions and the optimiser: they read and write feature
                 maps, and are limited by the bandwidth of the memory
    Python       what is in no operator: Python, torch's dispatch and autograd
    ceiling      the ratio to the peer of a step that does our products at the speed of large matrices, and nothing else
"""

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import pretraining
import segmentation
from epoch_contest import steps_from_memory
from epochs import Row, dino, finetuning
from epochs import segmentation as supervised
from measured import Work, machine, report
from side_by_side import Contest, steps_of

PRODUCTS = ("conv", "mm", "scaled_dot_product")
"""Parts of the names of torch's operators that multiply matrices."""
SIDE, TRIES = 4096, 5
"""Of the square matrices whose product is the processor's speed, and how often they are multiplied."""
STEPS = 3


@dataclass(frozen=True)
class Profile:
    """A training step of one side.

    Attributes:
        seconds: without the profiler. products, operators: shares of them. operations: floating-point operations.
    """

    seconds: float
    products: float
    operators: float
    operations: float

    @property
    def speed(self) -> float:
        """Floating-point operations per second in products."""
        return self.operations / (self.seconds * self.products)

    @property
    def cells(self) -> str:
        shares = (self.products, self.operators, 1 - self.products - self.operators)
        products, operators, rest = (f"{100 * max(0.0, share):.0f} %" for share in shares)
        return f"{products} at {self.speed / 1e9:.0f} | {operators} | {rest}"


Step = Callable[[], object]


def compared() -> Iterator[tuple[str, Callable[[bool], Step]]]:
    """Title of each step, and a function that sets one side up: ours if the argument is true."""
    contests: list[Contest] = [*pretraining.SMALL[:2], *pretraining.LARGE, *segmentation.LARGE]
    for contest in contests:
        yield contest.title, partial(_of_contest, contest)
    rows = (
        dino("resnet18", 96, 48, number=0),
        finetuning("resnet18", 224, number=0),
        finetuning("resnet18", 96, number=0),
        supervised(224, number=0),
        supervised(64, number=0),
    )
    for row in rows:
        yield row.contest.what, partial(_of_epoch, row)


def _of_contest(contest: Contest, ours: bool) -> Step:
    return partial(next, steps_of(contest, ours=ours))


def _of_epoch(row: Row, ours: bool) -> Work:
    return steps_from_memory(row.contest, 1, ours=ours)


def profiled(set_up: Callable[[bool], Step], ours: bool, steps: int) -> Profile:
    """Profile one side; for a process of its own."""
    step = set_up(ours)
    for _ in range(2):
        step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    seconds = (time.perf_counter() - began) / steps
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as found:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        total = time.perf_counter() - began  # without the end of the profiler, which sorts events
    products = operators = 0.0
    for event in found.key_averages():
        if event.key.startswith("aten::"):
            own = event.self_cpu_time_total / 1e6 / total
            if any(part in event.key for part in PRODUCTS):
                products += own
            else:
                operators += own
    with FlopCounterMode(display=False) as counter:
        step()
    return Profile(seconds, products, operators, float(counter.get_total_flops()))


def peak() -> float:
    """Floating-point operations per second of a product of large matrices, the best of several."""
    one, other = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    best = 0.0
    for _ in range(TRIES):
        began = time.perf_counter()
        torch.mm(one, other)
        best = max(best, 2 * SIDE**3 / (time.perf_counter() - began))
    return best


def main() -> None:
    """Profile both sides of each step, and print the table."""
    parser = argparse.ArgumentParser(description="Profile the training steps of the summary.")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"steps that are profiled (default: {STEPS})")
    steps = parser.parse_args().steps
    setting, most = machine(("torch", "timm", "lightly")), peak()
    lines = [
        "| step | GFLOP | products at GFLOP/s, s4mi | operators | Python | products at GFLOP/s, peer | operators "
        "| Python | ratio | ceiling |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for title, set_up in compared():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            ours = pool.submit(profiled, set_up, True, steps).result()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            theirs = pool.submit(profiled, set_up, False, steps).result()
        ceiling = theirs.seconds / (ours.operations / most)
        lines.append(
            f"| {title} | {ours.operations / 1e9:.0f} | {ours.cells} | {theirs.cells} "
            f"| {theirs.seconds / ours.seconds:.2f}× | {ceiling:.2f}× |"
        )
        print(lines[-1], flush=True)
    speed = f"The processor multiplies matrices of {SIDE} × {SIDE} at {most / 1e9:.0f} GFLOP/s."
    report("step-profile", setting, text="\n".join([speed, "", *lines]))


if __name__ == "__main__":
    main()
