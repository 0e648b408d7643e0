"""How networks are usually trained: the other side's loops, on what `usual_loaders.py` hands over."""

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
    """The other side: networks, and a loop that trains them on what a loader hands over."""

    together: bool
    """Whether its batch normalisation sees the same batches as ours."""

    @abstractmethod
    def hand_over(self, batch: Batch) -> list[Tensor]:
        """What its loader would give it of a batch of ours."""

    @abstractmethod
    def loss(self, handed: Sequence[Tensor]) -> Tensor:
        """Scalar, with a gradient."""

    @abstractmethod
    def step(self, handed: Sequence[Tensor]) -> float:
        """Train; the loss."""

    def epoch(self, batches: Loader) -> int:
        """Train on all of them; how many images that were."""
        images = 0
        for handed in batches:
            self.step(handed)
            images += len(handed[0])
        return images


class Plain(Loop):
    """A network, its cross-entropy and Adam, as in every tutorial."""

    together = True

    def __init__(self, net: nn.Module, normalise: nn.Module) -> None:
        """`normalise` is what the loader does at last."""
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
    """Lightly's loop; it sees view after view, ours all crops of a size together."""

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
    """A network and its linear layer, with the weights of ours."""
    assert isinstance(ours, Finetune)
    return Plain(nn.Sequential(deepcopy(ours.backbone.net), deepcopy(ours.head)), ours.backbone.normalise)


def plain_segmenter(ours: Method) -> Plain:
    """A U-Net, with the weights of ours; it normalises for itself."""
    assert isinstance(ours, Supervised)
    return Plain(deepcopy(ours.net), nn.Identity())


def lightly_dino(ours: Method) -> Lightly:
    """Students and teachers, with the weights of ours."""
    assert isinstance(ours, Dino)
    return Lightly(ours)
