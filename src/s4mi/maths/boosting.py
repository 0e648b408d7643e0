"""Gradient boosting on few labels (Friedman 2001; stochastic, 2002): shallow trees on random parts of the features.

Multi-class tasks have one model with a softmax, multi-label tasks one model per class. The models are scikit-learn's;
they are exported as arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s4mi.maths.logistic import UNSEEN
from s4mi.maths.logistic_solver import negative_log_likelihood
from s4mi.maths.tree_arrays import TreeArrays, join_trees

Floats = NDArray[np.float64]

ROUNDS, RATE, DEPTH, SHARE = 100, 0.1, 2, 0.8
"""Number of rounds, learning rate, depth of the trees, and share of the samples that each is fitted to."""


@dataclass(frozen=True)
class Part:
    """A model and the columns of the logits that it fills; constants if it has no model."""

    columns: NDArray[np.int64]
    model: Any
    constant: float = 0.0


@dataclass(frozen=True)
class Boosting:
    """Fitted models of all classes."""

    parts: tuple[Part, ...]
    classes: int
    multilabel: bool

    def logits(self, x: NDArray[Any]) -> Floats:
        """(N, D) → (N, K)."""
        logits = np.full((len(x), self.classes), UNSEEN)
        for part in self.parts:
            if part.model is None:
                logits[:, part.columns] = part.constant
                continue
            scores = part.model.decision_function(x)
            if scores.ndim == 1 and not self.multilabel:
                scores = np.stack([-scores / 2, scores / 2], axis=1)
            logits[:, part.columns] = scores.reshape(len(x), -1)
        return logits

    def trees(self, width: int) -> TreeArrays | None:
        """All trees as arrays, for samples of `width` features; None if no class has a model."""
        trees, values = [], []
        for part in self.parts:
            for one_round in part.model.estimators_ if part.model is not None else ():
                for number, estimator in enumerate(one_round):
                    effect = np.zeros(self.classes)
                    if len(part.columns) == 2 and not self.multilabel:
                        effect[part.columns] = [-0.5, 0.5]
                    else:
                        effect[part.columns[number]] = 1.0
                    trees.append(estimator.tree_)
                    values.append(RATE * estimator.tree_.value[:, 0] * effect)
        if not trees:
            return None
        arrays = join_trees(trees, values, np.zeros(self.classes))
        somewhere = np.zeros((1, width), dtype=np.float32)
        bias = self.logits(somewhere)[0] - _sum(arrays, somewhere[0])  # what no tree adds: the prior
        return join_trees(trees, values, bias)


def fit_boosting(x: NDArray[Any], y: NDArray[Any], *, classes: int, sample_weight: NDArray[Any], seed: int) -> Boosting:
    """Fit to (N, D) features and (N,) class indices, or (N, K) 0/1 of a multi-label task, NaN where unknown.

    Args:
        sample_weight: (N,), or (N, K) of a multi-label task.
    """
    multilabel = y.ndim == 2
    if not multilabel:
        present = np.unique(y)
        model = _model(seed).fit(x, y, sample_weight=sample_weight) if len(present) > 1 else None
        return Boosting((Part(present.astype(np.int64), model),), classes, multilabel=False)
    weight = sample_weight if sample_weight.ndim == 2 else np.repeat(sample_weight[:, None], classes, axis=1)
    parts = []
    for number in range(classes):
        known, column = ~np.isnan(y[:, number]), np.array([number])
        target = y[known, number].astype(np.int64)
        if not target.size or target.min() == target.max():
            positives = float(target.sum())
            constant = np.log((positives + 0.5) / (len(target) - positives + 0.5))
            parts.append(Part(column, None, float(constant)))
        else:
            model = _model(seed + number).fit(x[known], target, sample_weight=weight[known, number])
            parts.append(Part(column, model))
    return Boosting(tuple(parts), classes, multilabel=True)


def boosting_loss(
    x: NDArray[Any],
    y: NDArray[Any],
    held_out: Sequence[NDArray[np.int64]],
    *,
    classes: int,
    sample_weight: NDArray[Any],
    seed: int,
) -> float:
    """Mean held-out log loss per unit of sample weight, as `logistic.StrengthPath` has it."""
    multilabel, total, weights = y.ndim == 2, 0.0, 0.0
    for rows in held_out:
        kept = np.setdiff1d(np.arange(len(x)), rows)
        model = fit_boosting(x[kept], y[kept], classes=classes, sample_weight=sample_weight[kept], seed=seed)
        targets = y[rows].astype(np.float64) if multilabel else np.eye(classes)[y[rows]]
        weight = sample_weight[rows] if sample_weight.ndim == 2 else sample_weight[rows, None]
        known = ~np.isnan(targets)
        weight, targets = np.where(known, weight, 0.0).astype(np.float64), np.where(known, targets, 0.0)
        total += negative_log_likelihood(model.logits(x[rows]), targets, weight, softmax=not multilabel)
        weights += float(weight.sum()) / (1 if multilabel else classes)
    return total / weights


def _model(seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier  # takes a second, which most runs save

    return GradientBoostingClassifier(
        n_estimators=ROUNDS,
        learning_rate=RATE,
        max_depth=DEPTH,
        subsample=SHARE,
        max_features="sqrt",
        random_state=seed,
    )


def _sum(trees: TreeArrays, x: NDArray[np.float32]) -> Floats:
    """(K,) sum of the leaves of one sample."""
    node = trees.roots
    for _ in range(trees.levels):
        node = np.where(x[trees.feature[node]] <= trees.threshold[node], trees.left[node], trees.right[node])
    return np.asarray(trees.value[node].astype(np.float64).sum(axis=0))
