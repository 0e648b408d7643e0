"""Common training loops: the peers' loops, on batches of `usual_loaders.py`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from pretraining import EXAMPLE_HEAD, LightlyDino
from s4mi.contract import Batch, Method
from s4mi.methods.classification.finetune import Finetune
from s4mi.methods.pretraining.dino import Dino
from s4mi.methods.segmentation.supervised import Supervised
from side_by_side import OPTIM
from usual_loaders import Loader


class Loop(nn.Module, ABC):
    """The peer: networks, and a loop that trains them on a loader's batches."""

    together: bool
    """Whether its batch normalisation uses the same batches as ours."""

    @abstractmethod
    def hand_over(self, batch: Batch) -> list[Tensor]:
        """Return what its loader would yield for a batch of ours."""

    @abstractmethod
    def loss(self, handed: Sequence[Tensor]) -> Tensor:
        """Return the scalar loss, with a gradient."""

    @abstractmethod
    def step(self, handed: Sequence[Tensor]) -> float:
        """Train a step; return the loss."""

    def epoch(self, batches: Loader) -> int:
        """Train on all batches; return the number of images."""
        images = 0
        for handed in batches:
            self.step(handed)
            images += len(handed[0])
        return images


class Plain(Loop):
    """A network, cross-entropy and Adam, as in every tutorial."""

    together = True

    def __init__(self, net: nn.Module, normalise: nn.Module) -> None:
        """`normalise` is the last transform of the loader."""
        super().__init__()
        self.net, self.normalise = net, normalise
        self.optimizer = Adam(net.parameters(), lr=OPTIM.lr, weight_decay=OPTIM.weight_decay)

    def hand_over(self, batch: Batch) -> list[Tensor]:
        targets = batch.known_masks if batch.labels is None else batch.labels
        return [self.normalise(batch.images).contiguous(), targets]

    def loss(self, handed: Sequence[Tensor]) -> Tensor:
        images, targets = handed
        return F.cross_entropy(self.net(images), targets)

    def step(self, handed: Sequence[Tensor]) -> float:
        loss = self.loss(handed)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()


class Lightly(Loop):
    """Lightly's loop; it processes view after view, ours all crops of a size together."""

    together = False

    def __init__(self, ours: Dino) -> None:
        super().__init__()
        backbone = ours.student.backbone
        self.normalise: nn.Module = backbone.normalise
        self.dino = LightlyDino(deepcopy(backbone.net), backbone.features, EXAMPLE_HEAD, [])
        self.dino.take(ours)
        self.losses = self.dino.steps()

    def hand_over(self, batch: Batch) -> list[Tensor]:
        assert batch.local is not None
        crops = [*batch.images.chunk(2), *batch.local.chunk(6)]
        return [self.normalise(view).contiguous() for view in crops]

    def loss(self, handed: Sequence[Tensor]) -> Tensor:
        self.dino.views = list(handed)
        return self.dino.loss()

    def step(self, handed: Sequence[Tensor]) -> float:
        self.dino.views = list(handed)
        return next(self.losses)


def plain_classifier(ours: Method) -> Plain:
    """Return a network and its linear layer, with the weights of our method."""
    assert isinstance(ours, Finetune)
    return Plain(nn.Sequential(deepcopy(ours.backbone.net), deepcopy(ours.head)), ours.backbone.normalise)


def plain_segmenter(ours: Method) -> Plain:
    """Return a U-Net with the weights of our method; it normalises its input itself."""
    assert isinstance(ours, Supervised)
    return Plain(deepcopy(ours.net), nn.Identity())


def lightly_dino(ours: Method) -> Lightly:
    """Return student and teacher with the weights of our method."""
    assert isinstance(ours, Dino)
    return Lightly(ours)
