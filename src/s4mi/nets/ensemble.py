"""Several networks that answer the same images, and which of their answers counts."""

import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from s4mi.errors import S4miError

AVERAGE = "average"


@final
class MemberSelection(nn.Module):
    """One of several named answers, `default` until another is taken; kept in checkpoints."""

    index: Tensor

    def __init__(self, names: Sequence[str], *, default: str) -> None:
        super().__init__()
        self.names = tuple(names)
        self.settled: str | None = None
        self.register_buffer("index", torch.tensor(self.names.index(default)))

    @property
    def name(self) -> str:
        """The one that is taken now."""
        return self.settled or self.names[int(self.index)]

    def settle(self) -> None:
        """Let it be this one for good: an exported graph cannot look at a tensor to see which."""
        self.settled = self.name

    def take(self, name: str) -> None:
        """Take another one.

        Raises:
            S4miError: there is none of this name.
        """
        if name not in self.names:
            raise S4miError(f"member {name!r} is none of {', '.join(self.names)}")
        self.index.fill_(self.names.index(name))


@final
class NetworkEnsemble(nn.Module):
    """Networks by name, (B, 3, H, W) → (B, K, H, W) each: one of them answers, or their average if there is one.

    `committee["cnn"]` is the network of that name.
    """

    def __init__(self, networks: Mapping[str, nn.Module], *, average: bool = True, default: str = AVERAGE) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.average = average
        self.choice = MemberSelection((*networks, AVERAGE) if average else tuple(networks), default=default)

    def __getitem__(self, name: str) -> nn.Module:
        return self.networks[name]

    def member_logits(self, images: Tensor) -> dict[str, Tensor]:
        """Every answer by its name, (B, K, H, W) logits."""
        given = {name: network(images) for name, network in self.networks.items()}
        return {**given, AVERAGE: mean_logits(*given.values())} if self.average else given

    def forward(self, images: Tensor) -> Tensor:
        """The answer that was chosen, (B, K, H, W) logits."""
        name = self.choice.name
        logits: Tensor = self.member_logits(images)[AVERAGE] if name == AVERAGE else self.networks[name](images)
        return logits


def mean_logits(*logits: Tensor) -> Tensor:
    """Logits (B, K, ...) whose softmax is the mean of the given ones' softmaxes: its logarithm."""
    log_p = torch.stack([one.float().log_softmax(dim=1) for one in logits])
    return log_p.logsumexp(dim=0) - math.log(len(logits))
