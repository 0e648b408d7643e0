"""Device and precision of a trained network, for code that runs it without training it."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch


class Runtime(Protocol):
    """Where a network computes and at which precision; Lightning's `Fabric` is one."""

    @property
    def device(self) -> torch.device:
        """Device of the weights and inputs."""

    def autocast(self) -> AbstractContextManager[None]:
        """Context in which a forward pass runs at this precision."""


@dataclass(frozen=True)
class PlainRuntime:
    """A device at full precision, for networks that belong to no run."""

    device: torch.device

    def autocast(self) -> AbstractContextManager[None]:
        return nullcontext()
