"""What a method is: abstract here, final in `methods/`."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from s4mi.contract.batch import Batch, Batches, Losses, Moment


class Method(nn.Module, ABC):
    """Anything the loop can train.

    The hooks do nothing unless a method gives them a body; they are the only methods here a class may override. A step
    calls, in this order: `before_step`, `loss`, the backward pass, `after_backward`, the optimiser, `after_step`.
    """

    @abstractmethod
    def loss(self, batch: Batch) -> Losses:
        """The method's loss on `batch`: the paper's formula, readable."""

    def before_epoch(self, images: Batches) -> None:
        """Called before each epoch with the training images, unaugmented (PiCIE clusters here)."""

    def before_step(self, moment: Moment) -> None:
        """Called before each loss (schedules of the loss go here)."""

    def after_backward(self, moment: Moment) -> None:
        """Called when the gradients are there and not yet used (DINO keeps its prototypes still here)."""

    def after_step(self, moment: Moment) -> None:
        """Called after each optimiser step, which `moment` counts already (moving averages go here)."""


class Classifier(Method):
    """A method that ends as a labeller of images."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K)."""


class Choice(Protocol):
    """Which of several answers counts; checkpoints remember it."""

    @property
    def name(self) -> str:
        """The one that counts."""

    def take(self, name: str) -> None:
        """Let the one of this name count from now on."""


class Answers(Protocol):
    """Several answers to the same images, of which validation chooses one; two networks and their average are three."""

    @property
    def choice(self) -> Choice:
        """Which of them counts."""

    def readings(self, images: Tensor) -> dict[str, Tensor]:
        """All of them by name, each (B, K, H, W) logits of (B, 3, H, W) in [0, 1]."""


class Segmenter(Method):
    """A method that ends as a labeller of pixels. `answers` is a hook too."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K, H, W)."""

    @property
    def answers(self) -> Answers | None:
        """The answers among which validation chooses the one that `logits` gives; None where there is only one."""
        return None


class Pretrainer(Method):
    """A method that ends as one or more encoders, learnt without labels.

    `embedders` and `signals` are hooks too.
    """

    @abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """The learnt encoders by backbone name: (B, 3, H, W) in [0, 1] → (B, features)."""

    def embedders(self) -> dict[str, nn.Module]:
        """What makes the (B, D) vectors that the loss compares, by name, where their health must be watched as well."""
        return {}

    def signals(self) -> dict[str, float]:
        """What else tells of the health of training, by name, since it was last asked."""
        return {}
