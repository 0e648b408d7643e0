"""Time a step of cross teaching against a typical training loop; see `side_by_side.py`.

    python benchmarks/segmentation.py [--rounds R] [--quick]

The peer has the same two networks, an optimiser for each, a second forward pass without gradients for the
pseudo-labels, and a Dice loss that loops over classes. Images are noise, masks are discs, half of the batch has
them; both are in memory before timing.

The losses of both sides agree with batch normalisation and dropout in evaluation mode. In training the peer's second
pass normalises the unlabelled images separately and drops other features, so that its pseudo-labels differ slightly:
that is inherent in a second pass, and part of the comparison.
"""

import itertools
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam

from s4mi.contract import Batch, Method, Task
from s4mi.methods.segmentation.cross_teaching import CrossTeaching
from s4mi.settings.segmentation.cross_teaching import CrossTeachingConfig
from side_by_side import OPTIM, Contest, Peer, command_line, noise, run


@dataclass(frozen=True)
class CrossTeachingContest(Contest):
    """A CNN and a transformer on a batch, half of which has masks."""

    cnn: str
    transformer: str
    against: ClassVar[str] = "plain loop, pseudo-labels from a second forward pass"

    @property
    def task(self) -> Task:
        return Task(
            kind="segmentation",
            classes=("background", "disc"),
            image_size=self.size,
            counts=(1, 1),
            labelled=self.batch,
        )

    @property
    def peer_differs_in_training(self) -> bool:
        return True

    def method(self) -> CrossTeaching:
        config = CrossTeachingConfig(
            recipe="paper", cnn=self.cnn, transformer=self.transformer, transformer_weights="none"
        )
        method: CrossTeaching = config.build(self.task)
        return method

    def peer(self) -> "PlainLoop":
        return PlainLoop(self.method(), self.crops())

    def crops(self) -> Batch:
        half = self.batch // 2
        return Batch(
            images=noise(half, self.size, seed=0),
            rows=torch.arange(self.batch),
            masks=_discs(half, self.size),
            unlabelled=noise(half, self.size, seed=1),
        )


class PlainLoop(Peer):
    """Cross teaching as commonly written."""

    def __init__(self, ours: CrossTeaching, batch: Batch) -> None:
        super().__init__()
        self.cnn, self.transformer = (deepcopy(ours.committee[name]) for name in ("cnn", "transformer"))
        self.labelled = len(batch.images)
        self.images = torch.cat([batch.images, batch.known_unlabelled]).contiguous()
        self.masks = batch.known_masks

    def take(self, method: Method) -> None:
        assert isinstance(method, CrossTeaching)
        for name, network in (("cnn", self.cnn), ("transformer", self.transformer)):
            network.load_state_dict(method.committee[name].state_dict())

    def loss(self) -> Tensor:
        networks = (self.cnn, self.transformer)
        logits = [network(self.images) for network in networks]
        with torch.no_grad():
            labels = [network(self.images[self.labelled :]).softmax(dim=1).argmax(dim=1) for network in networks]
        total = torch.zeros(())
        for one, other in ((0, 1), (1, 0)):
            known, unknown = logits[one][: self.labelled], logits[one][self.labelled :]
            total = total + 0.5 * (_dice(known, self.masks) + F.cross_entropy(known, self.masks))
            total = total + _dice(unknown, labels[other])
        return total

    def steps(self) -> Iterator[float]:
        optimizers = [
            Adam(network.parameters(), lr=OPTIM.lr, weight_decay=OPTIM.weight_decay)
            for network in (self.cnn, self.transformer)
        ]
        for _ in itertools.count():
            loss = self.loss()
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
            yield loss.item()


def _dice(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss with a loop over classes, as commonly written."""
    p, total = logits.softmax(dim=1), torch.zeros(())
    for k in range(p.shape[1]):
        truth = (target == k).float()
        overlap, sizes = (p[:, k] * truth).sum(), (p[:, k] * p[:, k]).sum() + (truth * truth).sum()
        total = total + 1 - (2 * overlap + 1e-5) / (sizes + 1e-5)
    return total / p.shape[1]


def _discs(count: int, size: int) -> Tensor:
    """(N, S, S) masks of 0 and 1: a disc with a radius of a quarter of the side."""
    offset = torch.arange(size) - size / 2
    disc = (offset[:, None] ** 2 + offset[None, :] ** 2 < (size / 4) ** 2).long()
    return disc.expand(count, size, size).clone()


SAME = 1e-5
SMALL: list[Contest] = [
    CrossTeachingContest(
        "Tiny ResNet U-Net + tiny Swin-UNet, 64", 0, 64, 16, 9, 3, SAME, "tiny_resnet", "tiny_swin_unet"
    ),
]
LARGE: list[Contest] = [
    CrossTeachingContest("small U-Net + Swin-UNet, 224", 7, 224, 16, 3, 1, SAME, "small_unet", "swin_unet"),
]


def main() -> None:
    """Run the measurements, print the table."""
    arguments = command_line("Time a step of cross teaching against a typical training loop.")
    run("segmentation", SMALL if arguments.quick else SMALL + LARGE, arguments, ("torch", "timm", "lightning-fabric"))


if __name__ == "__main__":
    main()
