"""How well probabilities rank the images of a class before all others.

AUROC               share of pairs of one image with and one without the class that are in order; ties count 1/2
average precision   Σ (recall_k - recall_{k-1}) · precision_k over the distinct probabilities, the highest first
"""

import torch
from torch import Tensor


def auroc(probabilities: Tensor, truth: Tensor) -> float:
    """Area under the ROC curve of (N,) probabilities; (N,) 0/1 truth has both values."""
    true, seen = _cumulated(probabilities, truth)
    false = seen - true
    start = true.new_zeros(1)
    area = torch.trapezoid(torch.cat([start, true]), torch.cat([start, false]))
    return float(area / (true[-1] * false[-1]))


def average_precision(probabilities: Tensor, truth: Tensor) -> float:
    """Average precision of (N,) probabilities; (N,) 0/1 truth has at least one 1."""
    true, seen = _cumulated(probabilities, truth)
    gained = torch.diff(true, prepend=true.new_zeros(1))
    return float((gained * true / seen).sum() / true[-1])


def _cumulated(probabilities: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Positives, and images, at or above each distinct probability, the highest first; float64."""
    values, group = torch.unique(probabilities, return_inverse=True)
    counts = torch.zeros(2, len(values), dtype=torch.float64, device=probabilities.device)
    counts[0].index_add_(0, group, truth.double())
    counts[1].index_add_(0, group, torch.ones_like(probabilities, dtype=torch.float64))
    true, seen = counts.flip(1).cumsum(1).unbind()
    return true, seen
