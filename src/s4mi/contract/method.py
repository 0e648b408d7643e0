"""Abstract base classes of methods; the implementations in `methods/` are final."""

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from s4mi.contract.batch import Batch, Batches, Losses, TrainState


class CollapseError(Exception):
    """Representations have become the same for all images or pixels; the message describes the evidence."""


class Method(nn.Module, ABC):
    """Anything that the training loop can train.

    The hooks do nothing by default and are the only implemented methods that a subclass may override. A step runs, in
    this order: `before_step`, `loss`, the backward pass, `after_backward`, the optimiser, `after_step`.
    """

    @abstractmethod
    def loss(self, batch: Batch) -> Losses:
        """Return the loss on `batch`, written like the formula in the paper.

        With several processes, each gets its share of the batch; the loss is that of the whole batch
        (`maths.distributed`).
        """

    def before_epoch(self, batches: Batches) -> None:
        """Prepare an epoch, given the batches it will train on in their order (PiCIE clusters here).

        Raises:
            CollapseError: representations have collapsed; training restarts or stops. With several processes, either
                all or none must raise it.
        """

    def before_step(self, state: TrainState) -> None:
        """Prepare a step, before its loss is computed (for schedules of the loss)."""

    def after_backward(self, state: TrainState) -> None:
        """Modify the gradients before the optimiser uses them (DINO freezes its prototypes here)."""

    def after_step(self, state: TrainState) -> None:
        """Finish a step, which `state` already counts (for moving averages).

        Raises:
            CollapseError: as in `before_epoch`.
        """

    def before_inference(self) -> None:
        """Prepare for predictions, after trained weights were loaded (LoRA is merged into the weights here)."""

    def signals(self) -> dict[str, float]:
        """Return further health metrics of training by name, accumulated since the last call."""
        return {}


class Classifier(Method):
    """A method that classifies images."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Return class logits: (B, 3, H, W) in [0, 1] → (B, K)."""


class MemberSelection(Protocol):
    """The selected ensemble member; saved in checkpoints."""

    @property
    def name(self) -> str:
        """Name of the selected member."""

    def take(self, name: str) -> None:
        """Select the member of this name."""

    def settle(self) -> None:
        """Make the current selection permanent, as an exported graph requires."""


class EnsembleMembers(Protocol):
    """Several predictions for the same images, of which validation selects one, e.g. two networks and their mean."""

    @property
    def choice(self) -> MemberSelection:
        """The selected member."""

    def member_logits(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits of all members by name: (B, 3, H, W) in [0, 1] → (B, K, H, W) each."""


class ClusterAssignment(Protocol):
    """Clusters learnt without masks, to which classes are assigned by means of the validation masks."""

    @property
    def count(self) -> int:
        """Number of clusters."""

    def clusters(self, images: Tensor) -> Tensor:
        """Return cluster logits: (B, 3, H, W) in [0, 1] → (B, count, H, W)."""

    def take(self, classes: Tensor) -> None:
        """Assign a class index to each cluster: (count,) int64."""


class Segmenter(Method):
    """A method that segments images. `members` and `matching` are hooks too."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Return pixel logits: (B, 3, H, W) in [0, 1] → (B, K, H, W)."""

    @property
    def members(self) -> EnsembleMembers | None:
        """Ensemble members, of which validation selects the one that `logits` returns; None if only one."""
        return None

    @property
    def matching(self) -> ClusterAssignment | None:
        """Clusters, to which validation assigns the classes that `logits` predicts; None if trained with masks."""
        return None


class Pretrainer(Method):
    """A method that learns one or more encoders without labels. `embedders` is a hook too."""

    @abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """Return the learnt encoders by backbone name, each (B, 3, H, W) in [0, 1] → (B, features)."""

    def embedders(self) -> dict[str, nn.Module]:
        """Return further modules to monitor for collapse, by name; their outputs are the (B, D) vectors of the loss."""
        return {}
