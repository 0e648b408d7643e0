"""What a method calls of the part of its encoders that is trained; see `s4mi.nets.tuning`."""

from typing import Protocol

from torch import nn

from s4mi.contract.batch import TrainState


class PartlyTrained(Protocol):
    """What is trained of an encoder at which step, called from the hooks of the method that has it."""

    def before_epoch(self) -> None:
        """Put frozen parts into evaluation mode."""

    def before_step(self, state: TrainState) -> None:
        """Freeze the encoder while the decoder alone is trained, and release it afterwards."""

    def after_backward(self) -> None:
        """Drop the gradients of what is not trained yet."""

    def before_inference(self, method: nn.Module) -> None:
        """Merge low-rank updates into the weights of all networks of a method."""
