"""Pseudo-labels from logits, detached from the graph, and the entropy of predictions."""

import torch
from torch import Tensor

from s4mi.records import IGNORE


def hard(logits: Tensor) -> Tensor:
    """(B, K, ...) logits → (B, ...) int64 most probable classes."""
    return logits.detach().argmax(dim=1)


def confident(logits: Tensor, threshold: float) -> Tensor:
    """(B, K, ...) logits → (B, ...) int64 most probable classes, `IGNORE` for probabilities below `threshold`."""
    p, classes = logits.detach().float().softmax(dim=1).max(dim=1)
    return classes.masked_fill(p < threshold, IGNORE)


def entropy(p: Tensor) -> Tensor:
    """(B, K, ...) probabilities → (B, ...) entropy in nats, from 0 to log K."""
    terms: Tensor = torch.special.entr(p.clamp_min(torch.finfo(p.dtype).tiny))  # the gradient at 0 is infinite
    return terms.sum(dim=1)
