"""Pseudo-labels from logits, detached from the graph, which of them to keep, and the entropy of predictions."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from s4mi.records import IGNORE


def hard(logits: Tensor) -> Tensor:
    """(B, K, ...) logits → (B, ...) int64 most probable classes."""
    return logits.detach().argmax(dim=1)


def confident(logits: Tensor, threshold: float | Tensor) -> Tensor:
    """(B, K, ...) logits → (B, ...) int64 most probable classes, `IGNORE` for probabilities below `threshold`.

    `threshold` is one number, or (K,) one of each class.
    """
    p, classes = logits.detach().float().softmax(dim=1).max(dim=1)
    least = threshold[classes] if isinstance(threshold, Tensor) else threshold
    return classes.masked_fill(p < least, IGNORE)


def two_sided(logits: Tensor) -> Tensor:
    """(N,) logits of a class → (N, 2) logits whose softmax are the probabilities of its absence and presence."""
    return torch.stack([torch.zeros_like(logits), logits], dim=1)


def class_thresholds(p: Tensor, predicted: Tensor, *, classes: int, keep: float) -> Tensor:
    """(K,) probabilities above which the share `keep` of the predictions of each class lies, the most probable ones.

    Rare classes, of which a model is less sure, so keep as large a share as frequent ones. With `keep` 1 all are 0. A
    class that is never predicted has the threshold of all predictions together.

    Args:
        p: (N,) probabilities of the predicted classes. predicted: (N,) int64 predicted classes.
    """
    if keep >= 1 or not len(p):
        return p.new_zeros(classes)
    of_each = [p[predicted == k] for k in range(classes)]
    return torch.stack([_least_kept(own if len(own) else p, keep) for own in of_each])


def _least_kept(p: Tensor, keep: float) -> Tensor:
    """The least of the most probable `keep` · N predictions, rounded up."""
    return p.sort(descending=True).values[max(math.ceil(keep * len(p) - 1e-9), 1) - 1]


def mean_precision(p: Tensor, predicted: Tensor, true: Tensor, thresholds: Tensor) -> float:
    """Share of the kept predictions of a class that are right, averaged over the classes that are predicted.

    Args:
        p, predicted: as in `class_thresholds`. true: (N,) int64 annotated classes. thresholds: (K,).
    """
    kept = p >= thresholds[predicted]
    right = (predicted == true)[kept].double()
    count = torch.bincount(predicted[kept], minlength=len(thresholds))
    hits = torch.bincount(predicted[kept], weights=right, minlength=len(thresholds))
    return float((hits / count)[count > 0].mean())


def largest_share(
    p: Tensor, predicted: Tensor, true: Tensor, *, classes: int, precision: float, shares: Sequence[float]
) -> float:
    """The largest share of each class's predictions whose `mean_precision` reaches `precision`; else the smallest."""
    for share in sorted(shares, reverse=True):
        thresholds = class_thresholds(p, predicted, classes=classes, keep=share)
        if mean_precision(p, predicted, true, thresholds) >= precision:
            return share
    return min(shares)


def entropy(p: Tensor) -> Tensor:
    """(B, K, ...) probabilities → (B, ...) entropy in nats, from 0 to log K."""
    terms: Tensor = torch.special.entr(p.clamp_min(torch.finfo(p.dtype).tiny))  # the gradient at 0 is infinite
    return terms.sum(dim=1)
