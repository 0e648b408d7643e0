"""Base of the methods that learn from images with and without masks in one batch."""

from collections.abc import Sequence
from typing import final

from s4mi.contract.batch import Batches, TrainState
from s4mi.contract.method import Segmenter
from s4mi.contract.partly_trained import PartlyTrained
from s4mi.contract.semi_supervised_settings import SemiSupervisedConfig


class SemiSupervised(Segmenter):
    """A segmenter that learns from images with and without masks and keeps track of the training state."""

    config: SemiSupervisedConfig
    state = TrainState(step=1, per_epoch=1, total=1)
    """The end of training, until a step is prepared."""
    tunings: Sequence[PartlyTrained] = ()
    """What is trained of the encoders of its networks; empty if it is everything."""

    def before_epoch(self, batches: Batches) -> None:
        for tuning in self.tunings:
            tuning.before_epoch()

    @final
    def before_step(self, state: TrainState) -> None:
        self.state = state
        for tuning in self.tunings:
            tuning.before_step(state)

    @final
    def after_backward(self, state: TrainState) -> None:
        for tuning in self.tunings:
            tuning.after_backward()

    @final
    def before_inference(self) -> None:
        for tuning in self.tunings:
            tuning.before_inference(self)

    @property
    def strength(self) -> float:
        """Current weight of the loss on images without masks."""
        return self.config.strength(self.state.progress)
