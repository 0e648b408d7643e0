"""Ensembles of networks, and which member or average is used for prediction."""

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from s4mi.errors import S4miError

AVERAGE = "average"


@final
class MemberSelection(nn.Module):
    """Name of the ensemble member used for prediction, `default` until another is selected; saved in checkpoints."""

    index: Tensor

    def __init__(self, names: Sequence[str], *, default: str) -> None:
        super().__init__()
        self.names = tuple(names)
        self.settled: str | None = None
        self.register_buffer("index", torch.tensor(self.names.index(default)))

    @property
    def name(self) -> str:
        """Name of the selected member."""
        return self.settled or self.names[int(self.index)]

    def settle(self) -> None:
        """Fix the current selection: an exported graph cannot read it from a tensor."""
        self.settled = self.name

    def take(self, name: str) -> None:
        """Select a member.

        Raises:
            S4miError: an unknown name.
        """
        if name not in self.names:
            raise S4miError(f"unknown ensemble member {name!r}; choose from {', '.join(self.names)}")
        self.index.fill_(self.names.index(name))


@final
class NetworkEnsemble(nn.Module):
    """Networks by name, (B, 3, H, W) → (B, K, H, W): the logits of the selected one, or of their average.

    `ensemble["cnn"]` is the network of that name. With `average=False` there is no average to select.
    """

    def __init__(self, networks: Mapping[str, nn.Module], *, average: bool = True, default: str = AVERAGE) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.average = average
        self.choice = MemberSelection((*networks, AVERAGE) if average else tuple(networks), default=default)

    def __getitem__(self, name: str) -> nn.Module:
        return self.networks[name]

    def member_logits(self, images: Tensor) -> dict[str, Tensor]:
        """(B, K, H, W) logits of all members, including the average, by name."""
        logits = {name: network(images) for name, network in self.networks.items()}
        return {**logits, AVERAGE: mean_logits(*logits.values())} if self.average else logits

    def forward(self, images: Tensor) -> Tensor:
        name = self.choice.name
        logits: Tensor = self.member_logits(images)[AVERAGE] if name == AVERAGE else self.networks[name](images)
        return logits


def mean_logits(*logits: Tensor) -> Tensor:
    """log of the mean of the softmaxes of several (B, K, ...) logits, which are logits of that mean."""
    log_p = torch.stack([member.float().log_softmax(dim=1) for member in logits])
    return log_p.logsumexp(dim=0) - math.log(len(logits))
