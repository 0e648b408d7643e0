"""Heads for self-supervised pre-training, discarded after training."""

import torch.nn.functional as F
from torch import Tensor, nn


class PrototypeHead(nn.Module):
    """DINO's head: (B, D) features → (B, K) cosines with K prototypes (Caron et al. 2021, section 3.1).

    A three-layer perceptron whose output, the bottleneck, is scaled to unit length, and a linear layer without bias
    whose rows have unit length (weight normalisation with a fixed gain of 1). `batch_norm` adds batch normalisation
    before each GELU.
    """

    def __init__(self, features: int, *, hidden: int, bottleneck: int, prototypes: int, batch_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (features, hidden):
            layers += [nn.Linear(width, hidden, bias=not batch_norm)]
            layers += [nn.BatchNorm1d(hidden), nn.GELU()] if batch_norm else [nn.GELU()]
        self.mlp = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.prototypes = nn.Linear(bottleneck, prototypes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        z = F.normalize(self.mlp(features), dim=1)
        return F.linear(z, F.normalize(self.prototypes.weight, dim=1))


class ProjectionHead(nn.Module):
    """SimCLR's head: (B, D) features → (B, `projection`), two layers with batch normalisation (Chen et al. 2020)."""

    def __init__(self, features: int, *, hidden: int, projection: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(features, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, projection, bias=False),
            nn.BatchNorm1d(projection),
        )

    def forward(self, features: Tensor) -> Tensor:
        z: Tensor = self.mlp(features)
        return z
