"""Device and precision of a trained network, for code that runs it without training it."""

from contextlib import AbstractContextManager
from typing import Protocol

import torch


class Runtime(Protocol):
    """Where a network computes and at which precision; Lightning's `Fabric` is one."""

    @property
    def device(self) -> torch.device:
        """Device of the weights and inputs."""

    def autocast(self) -> AbstractContextManager[None]:
        """Context in which a forward pass runs at this precision."""
