"""A training step of ours and of a peer in one process, turn by turn: what benchmarks of steps have in common.

Whatever else the machine is doing falls on both alike. Figures are medians over the rounds; the ratio is the median of
the ratios of the rounds. s4mi runs its own loop with its own optimiser, as `s4mi train` sets them up. Nothing is timed
before the losses of both sides have been found to be the same.

Each side takes all of torch's threads in its turn. Where other processes want the cores too, set
OMP_WAIT_POLICY=passive: threads that spin while they wait make either side up to ten times slower, at random.

Memory is the peak of a process of its own for each side, less what that process held before it built a network; Linux
tells it.
"""

import argparse
import itertools
import os
import platform
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from s4mi.contract import Batch, Method, Moment, Task
from s4mi.engine.fit import fit
from s4mi.engine.optim import OptimConfig, make_optimizer, make_scheduler

OPTIM = OptimConfig()
EPOCHS = 100
SECOND = 1
"""The epoch that is timed, counted from 0: in the first, DINO's prototypes stand still on both sides."""
STEPS_PER_EPOCH = 1_000_000
TOGETHER = 2
"""Steps from the same weights after which both sides must still have the same loss, and whose memory is measured."""


class Peer(nn.Module, ABC):
    """The other side: networks and the loop that trains them."""

    @abstractmethod
    def take(self, method: Method) -> None:
        """Start from the weights of ours."""

    @abstractmethod
    def loss(self) -> Tensor:
        """On the crops it was given."""

    @abstractmethod
    def steps(self) -> Iterator[float]:
        """Train for ever; the loss of each step."""


@dataclass(frozen=True)
class Contest(ABC):
    """A method of ours, its peer and what both are given.

    Attributes:
        size: side of the images, pixels. batch: images a step. rounds: measurements of each side unless the command
            line says otherwise. turn: steps a measurement.
    """

    title: str
    size: int
    batch: int
    rounds: int
    turn: int
    tolerance: float

    @abstractmethod
    def method(self) -> Method:
        """Ours, with fresh weights."""

    @abstractmethod
    def peer(self) -> Peer:
        """Theirs, with its crops."""

    def crops(self) -> Batch:
        """What ours gets: in [0, 1], channels last as the data path lays them out on the CPU."""
        return Batch(images=noise(self.batch, self.size, seed=0), rows=torch.arange(self.batch))

    @property
    def task(self) -> Task:
        return Task(kind="multiclass", classes=(), image_size=self.size, counts=(), labelled=0)

    @property
    def peer_differs_in_training(self) -> bool:
        """Whether the peer's batch normalisation sees the images in other batches than ours, by design."""
        return False


class Same:
    """A stream of one batch, again and again."""

    def __init__(self, batch: Batch) -> None:
        self.batch, self.steps = batch, STEPS_PER_EPOCH

    def epoch(self, _epoch: int, /) -> Iterator[Batch]:
        return itertools.repeat(self.batch, self.steps)

    def plain(self) -> list[Batch]:
        return [self.batch]


@dataclass(frozen=True)
class Comparison:
    """Seconds a step of both sides in each round, and MiB at their peak, if known."""

    contest: Contest
    ours: list[float]
    theirs: list[float]
    memory: tuple[float, float] | None

    def row(self) -> str:
        """One line of the table."""
        ours, theirs = 1000 * statistics.median(self.ours), 1000 * statistics.median(self.theirs)
        ratios = [other / one for one, other in zip(self.ours, self.theirs, strict=True)]
        memory = "– |" if self.memory is None else f"{self.memory[0]:,.0f} / {self.memory[1]:,.0f} |"
        return (
            f"| {self.contest.title}, batch {self.contest.batch} | {ours:,.0f} | {theirs:,.0f} "
            f"| {statistics.median(ratios):.2f}× | {min(ratios):.2f}–{max(ratios):.2f}× | {memory}"
        )


def run(contests: Sequence[Contest], arguments: argparse.Namespace, packages: Sequence[str]) -> None:
    """Take the measurements, print the table."""
    _print_machine(packages)
    comparisons = []
    for contest in contests:
        difference = _difference(contest)
        print(f"{contest.title}: losses differ by {difference:.0e}, at most {contest.tolerance:.0e} is allowed")
        if difference > contest.tolerance:
            raise SystemExit("the two sides do not compute the same, so nothing is timed")
        comparisons.append(_turn_by_turn(contest, arguments.rounds or contest.rounds))
    print("\n| what | s4mi, ms/step | peer, ms/step | peer / s4mi | least–most | MiB, s4mi / peer |")
    print("|---|---:|---:|---:|---:|---:|")
    for comparison in comparisons:
        print(comparison.row())
    print(f"\nload {os.getloadavg()[0]:.1f} after")


def command_line(description: str) -> argparse.Namespace:
    """`--rounds` and `--quick`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, help="measurements of each side (9 of small networks, 3 of large ones)")
    parser.add_argument("--quick", action="store_true", help="small networks only")
    return parser.parse_args()


def _print_machine(names: Sequence[str]) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; Python {platform.python_version()}")
    print(
        f"{', '.join(f'{name} {version(name)}' for name in names)}; {torch.get_num_threads()} threads "
        f"(torch's default), OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'unset')}\n"
    )


def _difference(contest: Contest) -> float:
    """Greatest difference between the losses of both sides from the same weights.

    Batch normalisation is held to its running statistics first. Where both sides normalise the same batches, the real
    loops must agree too, over a few steps: gradients, optimiser and whatever else a step moves.
    """
    ours, theirs = contest.method(), contest.peer()
    theirs.take(ours)
    ours.eval(), theirs.eval()
    ours.before_step(Moment(SECOND * STEPS_PER_EPOCH, STEPS_PER_EPOCH, EPOCHS * STEPS_PER_EPOCH))
    with torch.no_grad():
        difference = abs(float(ours.loss(contest.crops()).total - theirs.loss()))
    if contest.peer_differs_in_training:
        return difference
    ours, theirs = contest.method(), contest.peer()
    theirs.take(ours)
    pairs = zip(_our_steps(ours, contest.crops()), theirs.steps(), strict=True)
    return max(difference, *(abs(one - other) for one, other in itertools.islice(pairs, TOGETHER)))


def _turn_by_turn(contest: Contest, rounds: int) -> Comparison:
    memory = _memory(contest)
    theirs = contest.peer()
    loops = _our_steps(contest.method(), contest.crops()), theirs.steps()
    taken: tuple[list[float], list[float]] = [], []
    for number in range(rounds + 1):  # the first starts threads, and makes the optimisers' state
        for loop, seconds in zip(loops, taken, strict=True):
            began = time.perf_counter()
            for _ in range(contest.turn):
                next(loop)
            if number:
                seconds.append((time.perf_counter() - began) / contest.turn)
    return Comparison(contest, *taken, memory)


def _our_steps(method: Method, batch: Batch) -> Iterator[float]:
    """Our loop, set up as `recipes/session.py` does."""
    fabric = Fabric(accelerator="cpu", devices=1)
    method = method.to(memory_format=torch.channels_last)
    optimizer = make_optimizer(OPTIM, method.parameters(), device=fabric.device)
    scheduler = make_scheduler(OPTIM, optimizer)
    for step in fit(fabric, method, optimizer, scheduler, Same(batch), epochs=EPOCHS, first_epoch=SECOND + 1):
        yield float(step.losses["total"])


def _memory(contest: Contest) -> tuple[float, float] | None:
    """MiB at the peak of a few steps of ours and of theirs, each in a fresh process."""
    if not Path("/proc/self/status").exists():
        return None
    peaks = []
    for ours in (True, False):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            peaks.append(pool.submit(_peak, contest, ours).result())
    return peaks[0], peaks[1]


def _peak(contest: Contest, ours: bool) -> float:
    before = _status("VmRSS")
    steps = _our_steps(contest.method(), contest.crops()) if ours else contest.peer().steps()
    for _ in itertools.islice(steps, TOGETHER):
        pass
    return _status("VmHWM") - before


def _status(name: str) -> float:
    """A figure of this process in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def noise(images: int, size: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(images, size, size, 3, generator=generator).permute(0, 3, 1, 2)
