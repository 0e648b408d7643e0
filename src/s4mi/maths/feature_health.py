"""Measures of feature collapse in pre-training without labels: spread, effective rank, nearest neighbours."""

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.records import FeatureSpread


def spread(features: Tensor) -> FeatureSpread:
    """Spread of the (N, D) features of N different images, independent of their scale.

    `std` is the mean standard deviation of a dimension of the unit features times √D: 0 for identical features, about 1
    for directions drawn uniformly.

    Raises:
        ValueError: fewer than two images.
    """
    if len(features) < 2:
        raise ValueError(f"the spread of features needs at least 2 images (given {len(features)})")
    unit = F.normalize(features.float(), dim=1)
    return FeatureSpread(
        std=float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5),
        effective_rank=effective_rank(unit),
        dimensions=unit.shape[1],
    )


def effective_rank(features: Tensor) -> float:
    """Effective rank of (N, D) features, after centring (Roy & Vetterli 2007).

        exp(-Σ_i p_i log p_i),   p_i = σ_i / Σ_j σ_j,   σ the singular values

    Between 1 and min(N - 1, D); 1 for identical features.
    """
    singular = torch.linalg.svdvals(features.double() - features.double().mean(dim=0))
    total = singular.sum()
    if total <= 1e-9 * max(features.shape) ** 0.5:
        return 1.0
    return float(torch.special.entr(singular / total).sum().exp())


def nearest_neighbours(
    queries: Tensor, references: Tensor, labels: Tensor, *, neighbours: int, temperature: float = 0.07
) -> Tensor:
    """(Q, K) votes in [0, 1] of each query's nearest neighbours (Wu et al. 2018; DINO's k-NN evaluation).

    Args:
        queries: (Q, D) features, of which only the direction matters. references: (R, D) features, likewise.
        labels: (R, K) 0/1 labels of the references.
        neighbours: number of neighbours, each voting with weight exp(cosine / `temperature`).
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(references, dim=1).T
    nearest = similarity.topk(min(neighbours, len(references)), dim=1)
    weight = (nearest.values / temperature).softmax(dim=1)
    return torch.einsum("qn,qnk->qk", weight, labels.float()[nearest.indices])
