"""Losses of the paper, as pure functions of logits and targets; targets that are `IGNORE` enter nothing.

Where several processes share a batch, each loss is that of the whole batch in every process.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.contract import WeightRule
from s4mi.errors import S4miError
from s4mi.maths.distributed import mean_over_images, ratio_over_images, sum_over_processes
from s4mi.records import IGNORE


def class_weights(counts: Sequence[int], rule: WeightRule | Sequence[float]) -> Tensor | None:
    """(K,) weights of the cross-entropy from counts of the *labelled training* part.

    inverse: w_k = n / (K n_k), so that a balanced set gives ones. median: w_k = median(n) / n_k (Eigen & Fergus 2015).
    Both look at the classes that are there; one that was never seen gets weight 0, as there is nothing to weigh.
    Numbers are taken as they are.

    Raises:
        S4miError: numbers that are no weights, or not one a class.
    """
    if rule == "none":
        return None
    if not isinstance(rule, str):
        return _numbers(rule, classes=len(counts))
    n = torch.tensor([float(count) for count in counts])
    seen = n > 0
    reference = n[seen].sum() / seen.sum() if rule == "inverse" else n[seen].quantile(0.5)
    return torch.where(seen, reference / n.clamp_min(1), 0.0)


def positive_weights(counts: Sequence[int], labelled: int, rule: WeightRule | Sequence[float]) -> Tensor | None:
    """(K,) weights of the answer "yes" where each class is a question of its own; "no" weighs 1.

    `counts` says how many of the `labelled` training images show each class. inverse: w_k = (n - n_k) / n_k, so that
    yes and no weigh the same in each class, and a class that half of the images show gets 1. median: w_k = median(n) /
    n_k, so that the classes weigh the same. A class that no image shows, or every image, gets 1: there is nothing to
    balance. Numbers are taken as they are.

    Raises:
        S4miError: numbers that are no weights, or not one a class.
    """
    if rule == "none" or not isinstance(rule, str):
        return class_weights(counts, rule)
    n = torch.tensor([float(count) for count in counts])
    mixed = (n > 0) & (n < labelled)
    reference = labelled - n if rule == "inverse" else torch.where(n > 0, n, torch.nan).nanquantile(0.5)
    return torch.where(mixed, reference / n.clamp_min(1), 1.0)


def _numbers(weights: Sequence[float], *, classes: int) -> Tensor:
    if len(weights) != classes:
        raise S4miError(f"class_weights names {len(weights)} numbers but there are {classes} classes; give one a class")
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise S4miError(f"class_weights {list(weights)} are no weights; give numbers of at least 0, and one above it")
    return torch.tensor([float(weight) for weight in weights])


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over classes 0..K-1: (B, K, ...) logits and (B, ...) int64 targets → scalar.

    A batch in which everything is ignored gives 0, not NaN.
    """
    total = F.cross_entropy(logits, targets, weight=weight, ignore_index=IGNORE, reduction="sum")
    return ratio_over_images(total, _amounts(targets, weight)[0].sum())


def _amounts(targets: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """How much each target counts (0 where it is ignored), and the targets with class 0 in the place of `IGNORE`."""
    known = targets != IGNORE
    classes = torch.where(known, targets, 0)
    return (known.float() if weight is None else known * weight[classes]), classes


def multilabel_cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of K independent classes: (B, K) logits and (B, K) 0/1 targets → scalar.

    `weight` (K,) is that of the positive answers, as `positive_weights` gives it.
    """
    return mean_over_images(F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight, reduction="none"))


def focal(logits: Tensor, targets: Tensor, *, gamma: float = 2.0, weight: Tensor | None = None) -> Tensor:
    """Focal loss (Lin et al. 2017): mean of w_y (1 - p_y)^gamma · (-log p_y); gamma 0 is the cross-entropy.

    (B, K, ...) logits with (B, ...) int64 targets take the softmax; with (B, K) 0/1 targets the sigmoid of each class.
    The mean is weighted by w, as the cross-entropy's is.
    """
    if targets.dim() == logits.dim():
        log_right = F.logsigmoid(torch.where(targets > 0.5, logits, -logits))
        scale = torch.ones_like(logits) if weight is None else torch.where(targets > 0.5, weight, 1.0)
        return mean_over_images(scale * _focused(log_right, gamma))
    scale, classes = _amounts(targets, weight)
    log_right = F.log_softmax(logits, dim=1).gather(1, classes[:, None])[:, 0]
    return ratio_over_images((scale * _focused(log_right, gamma)).sum(), scale.sum())


def _focused(log_right: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma · (-log p), with a finite gradient at p = 1 for a gamma below 1 too."""
    return (-log_right.expm1()).clamp_min(1e-8) ** gamma * -log_right


def dice(logits: Tensor, targets: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """1 - (2 Σpq + ε) / (Σp² + Σq² + ε) per class over the batch, mean over classes: (B, K, H, W), (B, H, W) → scalar.

    p is the softmax of the logits and q the one-hot target. Oracle: MONAI's `DiceLoss(squared_pred=True, batch=True)`.
    """
    known = (targets != IGNORE)[:, None]
    p = logits.softmax(dim=1) * known
    q = F.one_hot(torch.where(known[:, 0], targets, 0), logits.shape[1]).movedim(-1, 1).to(p.dtype) * known
    over = (0, *range(2, logits.dim()))
    sums = torch.stack([(p * q).sum(over), p.square().sum(over) + q.square().sum(over)])
    overlap, areas = sum_over_processes(sums).unbind()
    loss: Tensor = (1 - (2 * overlap + epsilon) / (areas + epsilon)).mean()
    return loss


def dice_cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """½ [Dice + cross-entropy], the supervised loss of S4MI section 4.2.1; `weight` is that of the cross-entropy."""
    return (dice(logits, targets) + cross_entropy(logits, targets, weight)) / 2
