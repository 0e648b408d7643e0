"""A training step of s4mi and of a peer, timed alternately: shared by the benchmarks of steps.

Other load on the machine affects both alike. Times are medians over the rounds; the ratio is the median of
the ratios of the rounds. s4mi runs its own loop with its own optimiser, set up as in `s4mi train`. Before timing, the
losses of both sides must agree.

Each side has its own process, and uses all torch threads in its turn. On busy cores set OMP_WAIT_POLICY=passive:
threads that spin while waiting make either side up to ten times slower, at random. On idle cores leave it unset: waking
threads is most expensive for a side with many small operations.

Memory is the peak of each side in its own process, minus that before the network was built (Linux only).
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
from s4mi.settings.optim import OptimConfig

OPTIM = OptimConfig()
EPOCHS = 100
SECOND = 1
"""The epoch that is timed, counted from 0: in the first, DINO's prototypes are frozen on both sides."""
STEPS_PER_EPOCH = 1_000_000
QUICK_ROUNDS = 2
TOGETHER = 2
"""Training steps over which both sides must have the same loss, and whose memory is measured."""


class Peer(nn.Module, ABC):
    """The peer: networks and the loop that trains them."""

    @abstractmethod
    def take(self, method: Method) -> None:
        """Load the weights of our method."""

    @abstractmethod
    def loss(self) -> Tensor:
        """Return the loss on the crops it was built with."""

    @abstractmethod
    def steps(self) -> Iterator[float]:
        """Train without end; yield the loss of each step."""


@dataclass(frozen=True)
class Contest(ABC):
    """A method of s4mi, its peer and the input of both.

    Attributes:
        against: the peer, in a few words. number: row of the summary; 0: none.
        size: side of the images in pixels. batch: images per step. rounds: default number of measurements of each
            side. turn: steps per measurement.
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
        """Return our method with new weights."""

    @abstractmethod
    def peer(self) -> Peer:
        """Return the peer with its crops."""

    def crops(self) -> Batch:
        """Return the input of our method: in [0, 1], channels last, as from the data path on the CPU."""
        return Batch(images=noise(self.batch, self.size, seed=0), rows=torch.arange(self.batch))

    @property
    def task(self) -> Task:
        return Task(kind="multiclass", classes=(), image_size=self.size, counts=(), labelled=0)

    @property
    def peer_differs_in_training(self) -> bool:
        """Whether the peer's batch normalisation uses other batches than ours, by design."""
        return False


def run(name: str, contests: Sequence[Contest], arguments: argparse.Namespace, packages: Sequence[str]) -> None:
    """Run the measurements, and report them as section `name`."""
    setting, pairs = machine(packages), []
    for contest in contests:
        difference = _difference(contest)
        print(f"{contest.title}: losses differ by {difference:.0e} (limit {contest.tolerance:.0e})")
        if difference > contest.tolerance:
            raise SystemExit("the sides do not agree, so nothing is timed")
        rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else contest.rounds)
        pairs.append(_turn_by_turn(contest, rounds, memory=not arguments.quick))
        print(pairs[-1].row(), flush=True)
    report(name, setting, pairs)


def command_line(description: str) -> argparse.Namespace:
    """Parse `--rounds` and `--quick`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--rounds", type=int, help="measurements of each side (default: 9 for small networks, 3 for large ones)"
    )
    parser.add_argument("--quick", action="store_true", help="small networks only, few rounds, no memory measurement")
    return parser.parse_args()


def _difference(contest: Contest) -> float:
    """Largest difference between the losses of both sides from the same weights.

    First with batch normalisation in evaluation mode. If both sides normalise the same batches, the training
    loops must agree too, over a few steps: gradients, optimiser and everything else that a step updates.
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
    steps = steps_of(contest, ours=ours)

    def work() -> int:
        for _ in range(contest.turn):
            next(steps)
        return contest.turn

    return work


def _few_steps(contest: Contest, *, ours: bool) -> None:
    for _ in itertools.islice(steps_of(contest, ours=ours), TOGETHER):
        pass


def steps_of(contest: Contest, *, ours: bool) -> Iterator[float]:
    """Yield the losses of one side, in its own process."""
    if not ours:
        return contest.peer().steps()
    keep_freed_memory()  # as in `training.run_dir.make_fabric`
    return _our_steps(contest.method(), contest.crops())


def _our_steps(method: Method, batch: Batch) -> Iterator[float]:
    for step in our_steps(method, Repeated(batch, STEPS_PER_EPOCH), epochs=EPOCHS, first_epoch=SECOND + 1):
        yield float(step.losses["total"])


def noise(images: int, size: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(images, size, size, 3, generator=generator).permute(0, 3, 1, 2)
