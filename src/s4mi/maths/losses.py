"""Losses of the paper, as pure functions of logits and targets; targets of `IGNORE`, or NaN, have no effect.

If several processes share a batch, each loss is that of the whole batch in every process.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from s4mi.contract import WeightRule
from s4mi.errors import S4miError
from s4mi.maths.distributed import ratio_over_images, sum_over_processes
from s4mi.records import IGNORE


def class_weights(counts: Sequence[int], rule: WeightRule | Sequence[float]) -> Tensor | None:
    """(K,) class weights of the cross-entropy from (K,) counts in the *labelled training* images.

        inverse   w_k = n / (K n_k),       1 for balanced classes
        median    w_k = median(n) / n_k    (Eigen & Fergus 2015)

    n, K and the median are over the classes that occur; others get weight 0. Explicit numbers are used unchanged.
    Without counts, as for a method that is loaded to predict, there are no weights.

    Raises:
        S4miError: invalid weights, or not one per class.
    """
    if rule == "none" or not counts:
        return None
    if not isinstance(rule, str):
        return _explicit_weights(rule, classes=len(counts))
    n = torch.tensor([float(count) for count in counts])
    present = n > 0
    reference = n[present].sum() / present.sum() if rule == "inverse" else n[present].quantile(0.5)
    return torch.where(present, reference / n.clamp_min(1), 0.0)


def positive_weights(
    counts: Sequence[int], labelled: int | Sequence[int], rule: WeightRule | Sequence[float]
) -> Tensor | None:
    """(K,) weights of the positives of a multi-label task; negatives have weight 1.

    n_k, in `counts`, is the number of the n `labelled` training images with class k; n may differ between classes, as
    it counts the images of which it is known whether they show the class:

        inverse   w_k = (n - n_k) / n_k    equal total weight of positives and negatives, 1 for a class in half of them
        median    w_k = median(n_k) / n_k  equal total weight of the positives of all classes

    A class of none or all of the images gets weight 1. Explicit numbers are used unchanged.

    Raises:
        S4miError: invalid weights, or not one per class.
    """
    if rule == "none" or not isinstance(rule, str) or not counts:
        return class_weights(counts, rule)
    n = torch.tensor([float(count) for count in counts])
    known = torch.as_tensor(labelled, dtype=n.dtype)
    mixed = (n > 0) & (n < known)
    reference = known - n if rule == "inverse" else torch.where(n > 0, n, torch.nan).nanquantile(0.5)
    return torch.where(mixed, reference / n.clamp_min(1), 1.0)


def _explicit_weights(weights: Sequence[float], *, classes: int) -> Tensor:
    if len(weights) != classes:
        raise S4miError(
            f"class_weights names {len(weights)} numbers but there are {classes} classes; pass one per class"
        )
    if not all(0 <= weight < math.inf for weight in weights) or not any(weights):
        raise S4miError(f"class_weights must be at least 0, and one of them positive (given {list(weights)})")
    return torch.tensor([float(weight) for weight in weights])


def cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Weighted mean cross-entropy of (B, K, ...) logits and (B, ...) int64 targets → scalar.

    If all targets are `IGNORE`, it is 0 instead of NaN.
    """
    total = F.cross_entropy(logits, targets, weight=weight, ignore_index=IGNORE, reduction="sum")
    return ratio_over_images(total, _target_weights(targets, weight)[0].sum())


def _target_weights(targets: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Weight of each target (0 for `IGNORE`), and the targets with class 0 in place of `IGNORE`."""
    known = targets != IGNORE
    classes = torch.where(known, targets, 0)
    return (known.float() if weight is None else known * weight[classes]), classes


def multilabel_cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean binary cross-entropy of K independent classes: (B, K) logits and (B, K) 0/1 targets → scalar.

    Targets of NaN are unknown and left out of the mean, which is 0 if all are. `weight` (K,) is that of the positives,
    from `positive_weights`.
    """
    known = ~targets.isnan()
    y = torch.where(known, targets, 0.0)
    values = F.binary_cross_entropy_with_logits(logits, y, pos_weight=weight, reduction="none")
    return ratio_over_images((values * known).sum(), known.sum().to(values.dtype))


def focal(logits: Tensor, targets: Tensor, *, gamma: float = 2.0, weight: Tensor | None = None) -> Tensor:
    """Focal loss (Lin et al. 2017): mean of w_y (1 - p_y)^gamma · (-log p_y); with gamma 0, the cross-entropy.

    p is the softmax of (B, K, ...) logits for (B, ...) int64 targets, and the sigmoid for (B, K) 0/1 targets, of which
    NaN is unknown and left out. The mean is weighted by w, as in the cross-entropy.
    """
    if targets.dim() == logits.dim():
        log_p = F.logsigmoid(torch.where(targets > 0.5, logits, -logits))
        scale = torch.ones_like(logits) if weight is None else torch.where(targets > 0.5, weight, 1.0)
        known = ~targets.isnan()
        return ratio_over_images((scale * known * _focused(log_p, gamma)).sum(), known.sum().to(log_p.dtype))
    scale, classes = _target_weights(targets, weight)
    log_p = F.log_softmax(logits, dim=1).gather(1, classes[:, None])[:, 0]
    return ratio_over_images((scale * _focused(log_p, gamma)).sum(), scale.sum())


def _focused(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma · (-log p), with a finite gradient at p = 1 even for gamma below 1."""
    return (-log_p.expm1()).clamp_min(1e-8) ** gamma * -log_p


def dice(logits: Tensor, targets: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Dice loss of (B, K, H, W) logits and (B, H, W) targets → scalar, the mean over classes of

        1 - (2 Σpq + ε) / (Σp² + Σq² + ε)

    with sums over the batch, p the softmax of the logits and q the one-hot targets, as MONAI's
    `DiceLoss(squared_pred=True, batch=True)`.
    """
    known = (targets != IGNORE)[:, None]
    p = logits.softmax(dim=1) * known
    q = F.one_hot(torch.where(known[:, 0], targets, 0), logits.shape[1]).movedim(-1, 1).to(p.dtype) * known
    axes = (0, *range(2, logits.dim()))
    sums = torch.stack([(p * q).sum(axes), p.square().sum(axes) + q.square().sum(axes)])
    overlap, areas = sum_over_processes(sums).unbind()
    loss: Tensor = (1 - (2 * overlap + epsilon) / (areas + epsilon)).mean()
    return loss


def dice_cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
    """½ [Dice + CE], the supervised loss of S4MI section 4.2.1; `weight` are class weights of the cross-entropy."""
    return (dice(logits, targets) + cross_entropy(logits, targets, weight)) / 2
