"""Losses of the paper, as pure functions of logits and targets; targets that are `IGNORE` enter nothing."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.records import IGNORE

WeightRule = Literal["none", "inverse", "median"]


def class_weights(counts: Sequence[int], rule: WeightRule | Sequence[float]) -> Tensor | None:
    """(K,) weights of the cross-entropy from counts of the *labelled training* part.

    inverse: w_k = n / (K n_k), so that a balanced set gives ones. median: w_k = median(n) / n_k (Eigen & Fergus 2015).
    Numbers are taken as they are. A class that was never seen gets weight 0: there is nothing to weigh.
    """
    if rule == "none":
        return None
    if not isinstance(rule, str):
        return torch.tensor([float(weight) for weight in rule])
    n = torch.tensor([float(count) for count in counts])
    seen = n > 0
    reference = n[seen].sum() / seen.sum() if rule == "inverse" else n[seen].quantile(0.5)
    return torch.where(seen, reference / n.clamp_min(1), torch.zeros_like(n))


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over classes 0..K-1: (B, K, ...) logits and (B, ...) int64 targets → scalar.

    A batch in which everything is ignored gives 0, not NaN.
    """
    known = targets != IGNORE
    total = F.cross_entropy(logits, targets, weight=weight, ignore_index=IGNORE, reduction="sum")
    amount = known.sum() if weight is None else weight[targets[known]].sum()
    return total / amount.clamp_min(1e-8)


def multilabel_cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of K independent classes: (B, K) logits and (B, K) 0/1 targets → scalar."""
    return F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight)


def focal(logits: Tensor, targets: Tensor, *, gamma: float = 2.0, weight: Tensor | None = None) -> Tensor:
    """Focal loss (Lin et al. 2017): mean of w_y (1 - p_y)^gamma · (-log p_y); gamma 0 is the cross-entropy.

    (B, K) logits with (B,) int64 targets take the softmax; with (B, K) 0/1 targets the sigmoid of each class. The mean
    is weighted by w, as the cross-entropy's is.
    """
    if targets.dim() == logits.dim():
        log_right = F.logsigmoid(torch.where(targets > 0.5, logits, -logits))
        scale = torch.ones_like(logits) if weight is None else torch.where(targets > 0.5, weight, 1.0)
        return (scale * (1 - log_right.exp()) ** gamma * -log_right).mean()
    log_right = F.log_softmax(logits, dim=1).gather(1, targets[:, None])[:, 0]
    scale = torch.ones_like(log_right) if weight is None else weight[targets]
    return (scale * (1 - log_right.exp()) ** gamma * -log_right).sum() / scale.sum().clamp_min(1e-8)


def dice(logits: Tensor, targets: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """1 - (2 Σpq + ε) / (Σp² + Σq² + ε) per class over the batch, mean over classes: (B, K, H, W), (B, H, W) → scalar.

    p is the softmax of the logits and q the one-hot target. Oracle: MONAI's `DiceLoss(squared_pred=True, batch=True)`.
    """
    known = (targets != IGNORE)[:, None]
    p = logits.softmax(dim=1) * known
    q = F.one_hot(torch.where(known[:, 0], targets, 0), logits.shape[1]).movedim(-1, 1).to(p.dtype) * known
    over = (0, *range(2, logits.dim()))
    overlap = (p * q).sum(over)
    return (1 - (2 * overlap + epsilon) / (p.square().sum(over) + q.square().sum(over) + epsilon)).mean()
