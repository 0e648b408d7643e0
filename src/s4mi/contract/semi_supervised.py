"""Base of the methods that learn from images with and without masks in one batch."""

from typing import final

from s4mi.contract.batch import TrainState
from s4mi.contract.method import Segmenter
from s4mi.contract.semi_supervised_settings import SemiSupervisedConfig


class SemiSupervised(Segmenter):
    """A segmenter that learns from images with and without masks and keeps track of the training state."""

    config: SemiSupervisedConfig
    state = TrainState(step=1, per_epoch=1, total=1)
    """The end of training, until a step is prepared."""

    @final
    def before_step(self, state: TrainState) -> None:
        self.state = state

    @property
    def strength(self) -> float:
        """Current weight of the loss on images without masks."""
        return self.config.strength(self.state.progress)
