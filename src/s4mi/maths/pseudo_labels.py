"""What a network says of images without labels, as a target for another one: no gradient flows into any of it."""

import torch
from torch import Tensor

from s4mi.records import IGNORE


def hard(logits: Tensor) -> Tensor:
    """(B, K, ...) logits → (B, ...) int64 classes, the most probable ones."""
    return logits.detach().argmax(dim=1)


def confident(logits: Tensor, threshold: float) -> Tensor:
    """(B, K, ...) logits → (B, ...) int64 classes, `IGNORE` where the greatest probability is below `threshold`."""
    p, classes = logits.detach().float().softmax(dim=1).max(dim=1)
    return classes.masked_fill(p < threshold, IGNORE)


def entropy(p: Tensor) -> Tensor:
    """(B, K, ...) probabilities → (B, ...) entropy in nats, from 0 to log K."""
    each: Tensor = torch.special.entr(p.clamp_min(torch.finfo(p.dtype).tiny))  # at 0 itself the slope is infinite
    return each.sum(dim=1)
