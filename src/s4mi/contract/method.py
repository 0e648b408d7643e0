"""What a method is: abstract here, final in `methods/`."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from s4mi.contract.batch import Batch, Batches, Losses, TrainState


class CollapseError(Exception):
    """What a method learns has become the same for all images or pixels; the message says what was seen."""


class Method(nn.Module, ABC):
    """Anything the loop can train.

    The hooks do nothing unless a method gives them a body; they are the only methods here a class may override. A step
    calls, in this order: `before_step`, `loss`, the backward pass, `after_backward`, the optimiser, `after_step`.
    """

    @abstractmethod
    def loss(self, batch: Batch) -> Losses:
        """The method's loss on `batch`: the paper's formula, readable.

        Of several processes each sees its share of the batch; the loss is that of the whole (`maths.processes`).
        """

    def before_epoch(self, batches: Batches) -> None:
        """Called before each epoch with the batches that it will train on, in their order (PiCIE clusters here).

        Raises:
            CollapseError: there is nothing left to learn from; training begins again or stops. Of several
                processes all raise it, or none.
        """

    def before_step(self, moment: TrainState) -> None:
        """Called before each loss (schedules of the loss go here)."""

    def after_backward(self, moment: TrainState) -> None:
        """Called when the gradients are there and not yet used (DINO keeps its prototypes still here)."""

    def after_step(self, moment: TrainState) -> None:
        """Called after each optimiser step, which `moment` counts already (moving averages go here).

        Raises:
            CollapseError: as `before_epoch` does.
        """

    def signals(self) -> dict[str, float]:
        """What else tells of the health of training, by name, since it was last asked."""
        return {}


class Classifier(Method):
    """A method that ends as a labeller of images."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K)."""


class MemberSelection(Protocol):
    """Which of several answers counts; checkpoints remember it."""

    @property
    def name(self) -> str:
        """The one that counts."""

    def take(self, name: str) -> None:
        """Let the one of this name count from now on."""

    def settle(self) -> None:
        """Let it be the one that counts now for good, as an exported graph needs it."""


class EnsembleMembers(Protocol):
    """Several answers to the same images, of which validation chooses one; two networks and their average are three."""

    @property
    def choice(self) -> MemberSelection:
        """Which of them counts."""

    def member_logits(self, images: Tensor) -> dict[str, Tensor]:
        """All of them by name, each (B, K, H, W) logits of (B, 3, H, W) in [0, 1]."""


class ClusterAssignment(Protocol):
    """Clusters found without masks, which get their classes from those that the validation images have."""

    @property
    def count(self) -> int:
        """How many clusters there are."""

    def clusters(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, count, H, W) logits of the clusters."""

    def take(self, classes: Tensor) -> None:
        """Let (count,) be the class of each cluster from now on."""


class Segmenter(Method):
    """A method that ends as a labeller of pixels. `answers` and `matching` are hooks too."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K, H, W)."""

    @property
    def members(self) -> EnsembleMembers | None:
        """The answers among which validation chooses the one that `logits` gives; None where there is only one."""
        return None

    @property
    def matching(self) -> ClusterAssignment | None:
        """The clusters to which validation gives the classes that `logits` answers; None where masks taught it."""
        return None


class Pretrainer(Method):
    """A method that ends as one or more encoders, learnt without labels. `embedders` is a hook too."""

    @abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """The learnt encoders by backbone name: (B, 3, H, W) in [0, 1] → (B, features)."""

    def embedders(self) -> dict[str, nn.Module]:
        """What makes the (B, D) vectors that the loss compares, by name, where their health must be watched as well."""
        return {}
