"""A training step of ours and of a peer, turn by turn: what benchmarks of steps have in common.

Whatever else the machine is doing falls on both alike. Figures are medians over the rounds; the ratio is the median of
the ratios of the rounds. s4mi runs its own loop with its own optimiser, as `s4mi train` sets them up. Nothing is timed
before the losses of both sides have been found to be the same.

Each side has a process of its own, and all of torch's threads in its turn. On cores that other work wants too, set
OMP_WAIT_POLICY=passive: threads that spin while they wait make either side up to ten times slower, at random. On idle
ones leave it unset: waking threads costs a side with many small operations most.

Memory is the peak of a process of its own for each side, less what that process held before it built a network; Linux
tells it.
"""

import argparse
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from measured import Pair, Work, apart, machine, peaks, report
from our_loop import Repeated, our_steps
from s4mi.contract import Batch, Method, Task, TrainState
from s4mi.engine.memory import keep_freed_memory
from s4mi.engine.optim import OptimConfig

OPTIM = OptimConfig()
EPOCHS = 100
SECOND = 1
"""The epoch that is timed, counted from 0: in the first, DINO's prototypes stand still on both sides."""
STEPS_PER_EPOCH = 1_000_000
QUICK_ROUNDS = 3
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
        against: the peer, in a few words. number: of the row in the summary; 0: none.
        size: side of the images, pixels. batch: images a step. rounds: measurements of each side unless the command
            line says otherwise. turn: steps a measurement.
    """

    against: ClassVar[str]

    title: str
    number: int
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


def run(name: str, contests: Sequence[Contest], arguments: argparse.Namespace, packages: Sequence[str]) -> None:
    """Take the measurements, and report them as the section `name`."""
    setting, pairs = machine(packages), []
    for contest in contests:
        difference = _difference(contest)
        print(f"{contest.title}: losses differ by {difference:.0e}, at most {contest.tolerance:.0e} is allowed")
        if difference > contest.tolerance:
            raise SystemExit("the two sides do not compute the same, so nothing is timed")
        rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else contest.rounds)
        pairs.append(_turn_by_turn(contest, rounds, memory=not arguments.quick))
        print(pairs[-1].row(), flush=True)
    report(name, setting, pairs)


def command_line(description: str) -> argparse.Namespace:
    """`--rounds` and `--quick`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, help="measurements of each side (9 of small networks, 3 of large ones)")
    parser.add_argument("--quick", action="store_true", help="small networks only, few rounds, no memory")
    return parser.parse_args()


def _difference(contest: Contest) -> float:
    """Greatest difference between the losses of both sides from the same weights.

    Batch normalisation is held to its running statistics first. Where both sides normalise the same batches, the real
    loops must agree too, over a few steps: gradients, optimiser and whatever else a step moves.
    """
    ours, theirs = contest.method(), contest.peer()
    theirs.take(ours)
    ours.eval(), theirs.eval()
    ours.before_step(TrainState(SECOND * STEPS_PER_EPOCH, STEPS_PER_EPOCH, EPOCHS * STEPS_PER_EPOCH))
    with torch.no_grad():
        difference = abs(float(ours.loss(contest.crops()).total - theirs.loss()))
    if contest.peer_differs_in_training:
        return difference
    ours, theirs = contest.method(), contest.peer()
    theirs.take(ours)
    pairs = zip(_our_steps(ours, contest.crops()), theirs.steps(), strict=True)
    return max(difference, *(abs(one - other) for one, other in itertools.islice(pairs, TOGETHER)))


def _turn_by_turn(contest: Contest, rounds: int, *, memory: bool) -> Pair:
    both = (partial(_few_steps, contest, ours=True), partial(_few_steps, contest, ours=False))
    most = peaks(*both) if memory else None
    taken = apart({"ours": partial(_turn, contest, ours=True), "theirs": partial(_turn, contest, ours=False)}, rounds)
    ours, theirs = (tuple(1000 * one for one in taken[side]) for side in ("ours", "theirs"))
    what = f"{contest.title}, batch {contest.batch}"
    return Pair(what, contest.against, "ms/step", ours, theirs, contest.number, most)


def _turn(contest: Contest, *, ours: bool) -> Work:
    steps = _steps(contest, ours=ours)

    def work() -> int:
        for _ in range(contest.turn):
            next(steps)
        return contest.turn

    return work


def _few_steps(contest: Contest, *, ours: bool) -> None:
    for _ in itertools.islice(_steps(contest, ours=ours), TOGETHER):
        pass


def _steps(contest: Contest, *, ours: bool) -> Iterator[float]:
    """Of one side, in a process of its own."""
    if not ours:
        return contest.peer().steps()
    keep_freed_memory()  # as `make_fabric` of the recipes does
    return _our_steps(contest.method(), contest.crops())


def _our_steps(method: Method, batch: Batch) -> Iterator[float]:
    for step in our_steps(method, Repeated(batch, STEPS_PER_EPOCH), epochs=EPOCHS, first_epoch=SECOND + 1):
        yield float(step.losses["total"])


def noise(images: int, size: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(images, size, size, 3, generator=generator).permute(0, 3, 1, 2)
