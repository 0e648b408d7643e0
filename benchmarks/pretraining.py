"""Time a step of pre-training against the loop that is usually written: both in one process, turn by turn.

Whatever else the machine is doing falls on both alike. Figures are medians over the rounds; the ratio is the median of
the ratios of the rounds.

    python benchmarks/pretraining.py [--rounds R] [--quick]

DINO's peer is lightly: the loop of its documentation, which sends view after view through the networks. CASS's peer is
two networks and two optimisers in a plain loop, as in its authors' notebook. s4mi runs its own loop with its own
optimiser, as `s4mi train` sets them up. Both sides have the same timm networks with the same weights and get the same
crops, which are noise and in memory before the clock starts; each as its own data path hands them over, the peers'
normalised beforehand. Nothing is timed before the losses of both have been found to be the same.

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
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import torch
from lightly.loss import DINOLoss  # type: ignore[import-untyped]
from lightly.models.modules import DINOProjectionHead  # type: ignore[import-untyped]
from lightly.models.utils import deactivate_requires_grad, update_momentum  # type: ignore[import-untyped]
from lightly.utils.scheduler import cosine_schedule  # type: ignore[import-untyped]
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from s4mi.contract import Batch, Method, Moment, Task
from s4mi.engine.fit import fit
from s4mi.engine.optim import OptimConfig, make_optimizer, make_scheduler
from s4mi.methods.pretraining.cass import Cass, CassConfig
from s4mi.methods.pretraining.dino import Dino, DinoConfig
from s4mi.nets.backbone import Backbone, Normalise

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
        return Batch(images=_noise(self.batch, self.size, seed=0), rows=torch.arange(self.batch))

    @property
    def task(self) -> Task:
        return Task(kind="multiclass", classes=(), image_size=self.size, counts=(), labelled=0)


@dataclass(frozen=True)
class DinoContest(Contest):
    """Two large and six small crops of each image.

    Attributes:
        head: hidden width, bottleneck and prototypes: those of lightly's example, or our defaults.
    """

    backbone: str
    local_size: int
    head: tuple[int, int, int]

    def method(self) -> Dino:
        hidden, bottleneck, prototypes = self.head
        config = DinoConfig(
            backbone=self.backbone,
            weights="none",
            local_size=self.local_size,
            hidden=hidden,
            bottleneck=bottleneck,
            prototypes=prototypes,
            batch_norm=False,  # as in the paper and in lightly's example
        )
        return config.build(self.task)

    def peer(self) -> "LightlyDino":
        backbone = Backbone(self.backbone, image_size=self.size, any_size=True)
        batch = self.crops()
        assert batch.local is not None
        views = [*batch.images.chunk(2), *batch.local.chunk(6)]
        return LightlyDino(backbone.net, backbone.features, self.head, [_normalised(view, backbone) for view in views])

    def crops(self) -> Batch:
        return Batch(
            images=_noise(2 * self.batch, self.size, seed=0),
            rows=torch.arange(self.batch),
            local=_noise(6 * self.batch, self.local_size, seed=1),
        )


@dataclass(frozen=True)
class CassContest(Contest):
    """One and the same image for a CNN and a transformer."""

    cnn: str
    vit: str

    def method(self) -> Cass:
        return CassConfig(cnn=self.cnn, vit=self.vit, weights="none").build(self.task)

    def peer(self) -> "TwoNetworks":
        backbones = [Backbone(name, image_size=self.size) for name in (self.cnn, self.vit)]
        networks = [nn.Sequential(backbone.net, nn.Linear(backbone.features, 1000)) for backbone in backbones]
        # Each network has the normalisation it was trained with; the authors' loop would give both the CNN's.
        return TwoNetworks(networks, [_normalised(self.crops().images, backbone) for backbone in backbones])


class LightlyDino(Peer):
    """DINO from lightly's parts, put together as in its documentation."""

    def __init__(self, backbone: nn.Module, features: int, head: tuple[int, int, int], views: list[Tensor]) -> None:
        super().__init__()
        self.views = views
        self.student_backbone, self.teacher_backbone = backbone, deepcopy(backbone)
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of torch: weight_norm will move
            self.student_head = DINOProjectionHead(features, *head, freeze_last_layer=1)
            self.teacher_head = DINOProjectionHead(features, *head)
        deactivate_requires_grad(self.teacher_backbone)
        deactivate_requires_grad(self.teacher_head)
        config = DinoConfig()
        self.criterion = DINOLoss(
            output_dim=head[-1],
            warmup_teacher_temp=config.first_teacher_temperature,
            teacher_temp=config.teacher_temperature,
            warmup_teacher_temp_epochs=config.warmup_epochs,
        )

    def take(self, method: Method) -> None:
        assert isinstance(method, Dino)
        for tower, backbone, head in (
            (method.student, self.student_backbone, self.student_head),
            (method.teacher, self.teacher_backbone, self.teacher_head),
        ):
            backbone.load_state_dict(tower.backbone.net.state_dict())
            head.layers.load_state_dict(tower.head.mlp.state_dict())
            head.last_layer.weight_v.data.copy_(tower.head.prototypes.weight)

    def loss(self) -> Tensor:
        taught = [self.teacher_head(self.teacher_backbone(view)) for view in self.views[:2]]
        said = [self.student_head(self.student_backbone(view)) for view in self.views]
        loss: Tensor = self.criterion(taught, said, epoch=SECOND)
        return loss

    def steps(self) -> Iterator[float]:
        optimizer = Adam(self.parameters(), lr=OPTIM.lr, weight_decay=OPTIM.weight_decay)
        momentum = cosine_schedule(SECOND, EPOCHS, 0.996, 1)
        while True:
            update_momentum(self.student_backbone, self.teacher_backbone, m=momentum)
            update_momentum(self.student_head, self.teacher_head, m=momentum)
            loss = self.loss()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.student_head.cancel_last_layer_gradients(current_epoch=SECOND)
            optimizer.step()
            yield loss.item()


class TwoNetworks(Peer):
    """CASS as its authors write it: two networks, an optimiser each, one loss."""

    def __init__(self, networks: list[nn.Sequential], images: list[Tensor]) -> None:
        super().__init__()
        (self.cnn, self.vit), self.images = networks, images

    def take(self, method: Method) -> None:
        assert isinstance(method, Cass)
        for embedder, network in ((method.cnn, self.cnn), (method.vit, self.vit)):
            backbone, last = embedder
            assert isinstance(backbone, Backbone)
            assert isinstance(network, nn.Sequential)
            network[0].load_state_dict(backbone.net.state_dict())
            network[1].load_state_dict(last.state_dict())

    def loss(self) -> Tensor:
        z_cnn = F.normalize(self.cnn(self.images[0]), dim=-1)
        z_vit = F.normalize(self.vit(self.images[1]), dim=-1)
        return (2 - 2 * (z_cnn * z_vit).sum(dim=-1)).mean()

    def steps(self) -> Iterator[float]:
        optimizers = [
            Adam(network.parameters(), lr=OPTIM.lr, weight_decay=OPTIM.weight_decay) for network in (self.cnn, self.vit)
        ]
        while True:
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss = self.loss()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
            yield loss.item()


EXAMPLE_HEAD = (512, 64, 2048)  # of lightly's example
OUR_HEAD = (DinoConfig().hidden, DinoConfig().bottleneck, DinoConfig().prototypes)
DINO, CASS = 1e-4, 1e-5

SMALL: list[Contest] = [
    DinoContest("DINO, ResNet-18, head 512, 2 × 96 + 6 × 48", 96, 8, 9, 2, DINO, "resnet18", 48, EXAMPLE_HEAD),
    DinoContest("DINO, ResNet-18, head 2048, 2 × 96 + 6 × 48", 96, 8, 9, 2, DINO, "resnet18", 48, OUR_HEAD),
    CassContest("CASS, ResNet-18 + ViT-Ti, 96", 96, 16, 9, 3, CASS, "resnet18", "vit_tiny_patch16_224"),
]
LARGE: list[Contest] = [
    DinoContest("DINO, ResNet-50, head 2048, 2 × 224 + 6 × 96", 224, 8, 3, 1, DINO, "resnet50", 96, OUR_HEAD),
    DinoContest(
        "DINO, ViT-Ti/16, head 2048, 2 × 224 + 6 × 96", 224, 8, 3, 1, DINO, "vit_tiny_patch16_224", 96, OUR_HEAD
    ),
    CassContest("CASS, ResNet-50 + ViT-B/16, 224", 224, 8, 3, 1, CASS, "resnet50", "vit_base_patch16_224"),
]


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


def main() -> None:
    """Take the measurements, print the table."""
    parser = argparse.ArgumentParser(
        description="Time a step of pre-training against the loop that is usually written."
    )
    parser.add_argument("--rounds", type=int, help="measurements of each side (9 of small networks, 3 of large ones)")
    parser.add_argument("--quick", action="store_true", help="small networks only")
    arguments = parser.parse_args()
    _print_machine()
    comparisons = []
    for contest in SMALL if arguments.quick else SMALL + LARGE:
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


def _print_machine() -> None:
    names = ("torch", "timm", "lightly", "lightning-fabric")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; Python {platform.python_version()}")
    print(
        f"{', '.join(f'{name} {version(name)}' for name in names)}; {torch.get_num_threads()} threads "
        f"(torch's default), OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', 'unset')}\n"
    )


def _difference(contest: Contest) -> float:
    """Greatest difference between the losses of both sides from the same weights.

    Batch normalisation is held to its running statistics first: lightly takes those of a batch view by view, ours takes
    them over all crops of a size. Where no network has any, or each sees all its images at once on both sides (CASS),
    the real loops must agree too, over a few steps: gradients, optimiser, teacher and centre.
    """
    ours, theirs = contest.method(), contest.peer()
    theirs.take(ours)
    ours.eval(), theirs.eval()
    ours.before_step(Moment(SECOND * STEPS_PER_EPOCH, STEPS_PER_EPOCH, EPOCHS * STEPS_PER_EPOCH))
    with torch.no_grad():
        difference = abs(float(ours.loss(contest.crops()).total - theirs.loss()))
    if isinstance(contest, DinoContest) and any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) for part in ours.modules()
    ):
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


def _noise(images: int, size: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(images, size, size, 3, generator=generator).permute(0, 3, 1, 2)


def _normalised(images: Tensor, backbone: Backbone) -> Tensor:
    """What a peer's `DataLoader` would hand over."""
    normalise: Normalise = backbone.normalise
    normalised: Tensor = normalise(images)
    return normalised.contiguous(memory_format=torch.contiguous_format)


if __name__ == "__main__":
    main()
