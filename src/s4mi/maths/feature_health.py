"""Whether features still tell images apart: the health of pre-training without labels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.records import FeatureSpread


def spread(features: Tensor) -> FeatureSpread:
    """How different (N, D) features of N different images are, on any scale.

    Raises:
        ValueError: fewer than two images.
    """
    if len(features) < 2:
        raise ValueError("the spread of one image is not defined")
    unit = F.normalize(features.float(), dim=1)
    return FeatureSpread(
        std=float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5),
        effective_rank=effective_rank(unit),
        dimensions=unit.shape[1],
    )


def effective_rank(features: Tensor) -> float:
    """exp of the entropy of the singular values' shares, of (N, D) centred features (Roy & Vetterli 2007).

    Between 1 and min(N - 1, D); 1 also where all features are the same.
    """
    singular = torch.linalg.svdvals(features.double() - features.double().mean(dim=0))
    total = singular.sum()
    if total <= 1e-9 * max(features.shape) ** 0.5:
        return 1.0
    return float(torch.special.entr(singular / total).sum().exp())


def nearest_neighbours(
    queries: Tensor, references: Tensor, answers: Tensor, *, neighbours: int, temperature: float = 0.07
) -> Tensor:
    """(Q, K) votes, in [0, 1], of the most similar references on each query (Wu et al. 2018; as DINO scores features).

    Args:
        queries, references: (Q, D) and (R, D) features, of which the direction counts.
        answers: (R, K) what each reference shows, 0 or 1.
        neighbours: how many vote, each with weight exp(cosine / `temperature`).
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(references, dim=1).T
    nearest = similarity.topk(min(neighbours, len(references)), dim=1)
    weight = (nearest.values / temperature).softmax(dim=1)
    return torch.einsum("qn,qnk->qk", weight, answers.float()[nearest.indices])
