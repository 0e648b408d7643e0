"""Pseudo-labels for classes: which predictions of a teacher are kept, judged by labels that it has not seen.

multi-class    one problem of K classes, one threshold for each predicted class
multi-label    K problems of two classes, absent and present, two thresholds for each
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.maths.pseudo_labels import class_thresholds, confident, largest_share, two_sided

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Shares of the predictions of each class to choose from."""
NEVER = 2.0
"""Threshold that no probability reaches: no pseudo-labels."""

Floats = NDArray[np.float64]


def problems(logits: Floats, labels: NDArray[Any], *, multilabel: bool) -> Iterator[tuple[Tensor, NDArray[Any]]]:
    """Yield logits (N, classes) and labels (N,) of the multi-class problem, or of the binary one of each class."""
    z = torch.from_numpy(logits)
    if not multilabel:
        yield z, labels
        return
    for k in range(z.shape[1]):
        known = ~np.isnan(labels[:, k].astype(np.float64))
        yield two_sided(z[torch.from_numpy(known), k]), labels[known, k]


def held_out_thresholds(
    logits: Floats, labels: NDArray[Any], *, multilabel: bool, keep: float | None, precision: float
) -> tuple[Tensor, float]:
    """Return thresholds (K,), or (K, 2) of negatives and positives, and the share of predictions that they keep.

    Multi-label tasks have one share for all classes, the least of theirs. Of a class without a known label no
    prediction is kept, as none can be judged.

    Args:
        logits: (N, K) of images that the teacher has not seen. labels: (N,), or (N, K) 0/1, NaN where unknown.
        keep: the share; None: the largest of `SHARES` whose kept predictions reach the precision.
    """
    judged = [
        (*z.softmax(dim=1).max(dim=1), torch.from_numpy(true.astype(np.int64)), z.shape[1])
        for z, true in problems(logits, labels, multilabel=multilabel)
    ]
    share = keep or min(
        largest_share(p, predicted, true, classes=classes, precision=precision, shares=SHARES)
        for p, predicted, true, classes in judged
        if len(true) or not multilabel
    )
    thresholds = _thresholds([(p, predicted, classes) for p, predicted, _, classes in judged], share, multilabel)
    if multilabel:
        thresholds[torch.tensor([not len(true) for _, _, true, _ in judged])] = NEVER
    return thresholds, share


def balanced_thresholds(logits: Tensor, *, multilabel: bool, keep: float) -> Tensor:
    """Thresholds as in `held_out_thresholds`, that keep a share of the predictions of each class for (N, K) logits."""
    z = [two_sided(column) for column in logits.T] if multilabel else [logits]
    return _thresholds([(*each.softmax(dim=1).max(dim=1), each.shape[1]) for each in z], keep, multilabel)


def kept_labels(logits: Tensor, thresholds: Tensor, *, multilabel: bool) -> Tensor:
    """(N, K) logits → (N,) int64 classes, or (N, K) 0 and 1; `IGNORE` where the teacher is not sure enough."""
    if not multilabel:
        return confident(logits, thresholds)
    return torch.stack([confident(two_sided(logits[:, k]), thresholds[k]) for k in range(logits.shape[1])], dim=1)


def _thresholds(judged: Sequence[tuple[Tensor, Tensor, int]], share: float, multilabel: bool) -> Tensor:
    of_each = [class_thresholds(p, predicted, classes=classes, keep=share) for p, predicted, classes in judged]
    return torch.stack(of_each) if multilabel else of_each[0]
