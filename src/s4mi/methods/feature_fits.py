"""Fits of the heads on frozen features; every choice is made by folds inside the labelled images.

logistic    Σ w CE(W x + b, y) + λ/2 |W|²         λ by held-out log loss
ridge       Σ w |W x + b - (2y - 1)|² + λ |W|²    λ by held-out squared error; logits are 4 times the scores
knn         k by held-out log loss
prototype   gain of the cosines by held-out log loss
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s4mi.contract import Fit, WeightRule
from s4mi.maths.blas_threads import one_blas_thread
from s4mi.maths.folds import LEAVE_ONE_OUT, folds
from s4mi.maths.logistic import LogisticProblem
from s4mi.maths.losses import class_weights, positive_weights
from s4mi.maths.ridge import RidgePath
from s4mi.nets.feature_heads import ClassMeansHead, LinearHead, NeighboursHead, neighbour_logits
from s4mi.settings.head_names import HeadName

Number = TypeVar("Number", int, float)
Head = LinearHead | ClassMeansHead | NeighboursHead
DEFAULT_STRENGTH = 0.03
"""Strength where no fold can be made, such as with one image of each class."""
RIDGE_STRENGTHS = tuple(float(10.0**exponent) for exponent in np.arange(2, -4.5, -0.5))
RIDGE_GAIN = 4.0
NEIGHBOURS = (1, 3, 5, 10, 20, 50)
GAINS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@dataclass(frozen=True)
class Samples:
    """Labelled samples of a fit: images in one or several views.

    Attributes:
        x: (N, D). labels: (N,) class indices, or (N, K) 0/1, NaN where unknown. groups: (N,) patients.
        classes: number of classes K.
        weight: (N,), or (N, K) for multi-label tasks, 0 where the label is unknown.
        views: number of samples of each image.
    """

    x: Tensor
    labels: NDArray[Any]
    groups: NDArray[np.int64]
    classes: int
    weight: NDArray[np.float64]
    views: int = 1

    @property
    def multilabel(self) -> bool:
        """Whether an image may have any number of classes."""
        return self.labels.ndim == 2

    @property
    def targets(self) -> NDArray[np.float64]:
        """(N, K) 0/1, NaN where unknown."""
        return self.labels.astype(np.float64) if self.multilabel else np.eye(self.classes)[self.labels]


def weights_of_classes(labels: NDArray[Any], classes: int, rule: WeightRule | tuple[float, ...]) -> NDArray[np.float64]:
    """(K,) weight of each class, or of its positives in multi-label tasks, from the labels of the run alone."""
    if labels.ndim == 2:
        known = (~np.isnan(labels)).sum(axis=0).tolist()
        weight = positive_weights(np.nansum(labels, axis=0).astype(int).tolist(), known, rule)
    else:
        weight = class_weights(np.bincount(labels, minlength=classes).tolist(), rule)
    return np.ones(classes) if weight is None else weight.double().numpy()


def weights_of_labels(labels: NDArray[Any], of_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weight of each label, of the shape of `labels`; negatives of multi-label tasks have 1, unknown ones 0."""
    if labels.ndim == 1:
        return np.asarray(of_class[labels], dtype=np.float64)
    return np.where(np.isnan(labels), 0.0, np.where(labels > 0, of_class, 1.0))


def not_fitted(labels: NDArray[Any], classes: Sequence[str]) -> tuple[str, ...]:
    """A note on classes that no labelled image shows, or all that are known do; nothing if there are none."""
    targets = labels if labels.ndim == 2 else np.eye(len(classes))[labels]
    count, known = np.nansum(targets, axis=0), (~np.isnan(targets)).sum(axis=0)
    names = [name for name, shown, of in zip(classes, count, known, strict=True) if shown in (0, of)]
    return (f"not fitted, as all labelled images agree: {', '.join(names)}; label more images",) if names else ()


def new_head(name: HeadName, *, multilabel: bool) -> Head:
    """Return a head that is not fitted."""
    if name == "knn":
        return NeighboursHead(multilabel=multilabel)
    return ClassMeansHead() if name == "prototype" else LinearHead()


def fit_head(head: Head, name: HeadName, samples: Samples, generator: np.random.Generator) -> Fit:
    """Fit a head to the samples."""
    few = LEAVE_ONE_OUT * samples.views
    held_out = folds(samples.labels, samples.groups, generator=generator, leave_one_out=few)
    if name == "logistic":
        with one_blas_thread():
            return _logistic(head, samples, held_out)
    if name == "ridge":
        return _ridge(head, samples, held_out)
    return _neighbours(head, samples, held_out) if name == "knn" else _class_means(head, samples, held_out)


def _logistic(head: Head, samples: Samples, held_out: list[NDArray[np.int64]]) -> Fit:
    problem = LogisticProblem(
        samples.x.numpy(), samples.labels, classes=None if samples.multilabel else samples.classes,
        sample_weight=samples.weight, multilabel=samples.multilabel,
    )  # fmt: skip
    strength, scores = DEFAULT_STRENGTH, {}
    if held_out:
        path = problem.path(held_out)
        strength, scores = path.strength, {"log_loss": float(path.losses[path.best])}
    fitted = problem.fit(strength)
    head.give(weight=torch.from_numpy(fitted.weight), bias=torch.from_numpy(fitted.bias))
    return Fit(chosen={"strength": strength}, scores=scores)


@dataclass(frozen=True)
class _RidgeRegressions:
    """One regression per class; those that have the same rows and weights are solved together.

    Attributes:
        x: (N, D). y: (N, K) -1 or 1, NaN where unknown. weight: (N, K).
        together: the classes (columns of y) that are solved together.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    weight: NDArray[np.float64]
    together: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, samples: Samples) -> "_RidgeRegressions":
        x, y = samples.x.numpy().astype(np.float64), 2 * samples.targets - 1
        weight = samples.weight if samples.weight.ndim == 2 else np.repeat(samples.weight[:, None], y.shape[1], axis=1)
        weight = weight.astype(np.float64)
        alike = not np.isnan(y).any() and (weight == weight[:, :1]).all()
        each = (np.arange(y.shape[1]),) if alike else tuple(np.array([k]) for k in range(y.shape[1]))
        return cls(x, y, weight, each)

    def paths(self, rows: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], RidgePath]]:
        """Return the solutions on some rows by their classes, without classes that are unknown in all of these."""
        paths = []
        for columns in self.together:
            used = rows[~np.isnan(self.y[rows, columns[0]])]
            weight = self.weight[used, columns[0]]
            if weight.any():
                paths.append((columns, RidgePath(self.x[used], self.y[used][:, columns], weight)))
        return paths

    def solution(
        self, paths: Sequence[tuple[NDArray[np.int64], RidgePath]], strength: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return (K, D) coefficients and (K,) biases, 0 for classes without a path."""
        classes = self.y.shape[1]
        coefficients, biases = np.zeros((classes, self.x.shape[1])), np.zeros(classes)
        for columns, path in paths:
            coefficients[columns], biases[columns] = path.solution(strength)
        return coefficients, biases

    def squared_error(
        self, rows: NDArray[np.int64], coefficients: NDArray[np.float64], biases: NDArray[np.float64]
    ) -> float:
        """Return the weighted sum of squared errors of some rows."""
        errors = self.weight[rows] * (self.x[rows] @ coefficients.T + biases - self.y[rows]) ** 2
        return float(np.nansum(errors))


def _ridge(head: Head, samples: Samples, held_out: list[NDArray[np.int64]]) -> Fit:
    ridge = _RidgeRegressions.of(samples)
    every = np.arange(len(ridge.x))
    without = [(rows, ridge.paths(np.setdiff1d(every, rows))) for rows in held_out]

    def squared_error(strength: float) -> float:
        total = 0.0
        for rows, paths in without:
            total += ridge.squared_error(rows, *ridge.solution(paths, strength))
        return total / float(sum(ridge.weight[rows].mean(axis=1).sum() for rows in held_out))

    strength, error = _best(RIDGE_STRENGTHS, squared_error) if held_out else (DEFAULT_STRENGTH, None)
    coefficients, biases = ridge.solution(ridge.paths(every), strength)
    head.give(weight=torch.from_numpy(RIDGE_GAIN * coefficients), bias=torch.from_numpy(RIDGE_GAIN * biases))
    return Fit(chosen={"strength": strength}, scores={} if error is None else {"squared_error": error})


def _neighbours(head: Head, samples: Samples, held_out: list[NDArray[np.int64]]) -> Fit:
    x = torch.nn.functional.normalize(samples.x, dim=1)
    y = torch.from_numpy(samples.targets).float()
    prior = y.nanmean(dim=0).nan_to_num(0.5).clamp(0.01, 0.99)
    votes = _votes(y, torch.from_numpy(samples.weight).float(), prior)

    def log_loss(k: int) -> float:
        losses = []
        for rows in held_out:
            kept = np.setdiff1d(np.arange(len(x)), rows)
            logits = neighbour_logits(x[rows] @ x[kept].T, votes[kept], prior, k=k, multilabel=samples.multilabel)
            losses.append(_log_loss(logits, y[rows], multilabel=samples.multilabel))
        return float(torch.cat(losses).mean())

    possible = [k for k in NEIGHBOURS if k < len(x)] or [1]
    k, loss = _best(possible, log_loss) if held_out else (min(5, len(x)), None)
    head.give(features=x, targets=votes, prior=prior, neighbours=torch.tensor(k))
    return Fit(chosen={"neighbours": float(k)}, scores={} if loss is None else {"log_loss": loss})


def _votes(y: Tensor, weight: Tensor, prior: Tensor) -> Tensor:
    """Votes of labelled images, as `NeighboursHead` has them, from their (N, K) targets and weights.

    Weights are relative to their mean, so that a neighbour counts one in the mean, also where it is one of several
    views. One of which a class is unknown votes as if it were not there, with the prior.
    """
    if weight.ndim == 1:
        return y * (weight / weight.mean())[:, None]
    known = ~y.isnan()
    weight = weight / (weight.sum(dim=0) / known.sum(dim=0)).nan_to_num(1.0).clamp_min(1e-12)
    present, absent = (torch.where(known, weight * each, other) for each, other in ((y, prior), (1 - y, 1 - prior)))
    return torch.cat([present, absent], dim=1)


def _class_means(head: Head, samples: Samples, held_out: list[NDArray[np.int64]]) -> Fit:
    x = torch.nn.functional.normalize(samples.x, dim=1)
    y = torch.from_numpy(samples.targets).float()

    def means(rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        shown, absent = (y[rows] == 1).float(), (y[rows] == 0).float()
        positive = shown.T @ x[rows] / shown.sum(dim=0).clamp_min(1)[:, None]
        if not samples.multilabel:
            return positive, torch.zeros(0)
        negative = absent.T @ x[rows] / absent.sum(dim=0).clamp_min(1)[:, None]
        return positive, negative

    def log_loss(gain: float) -> float:
        losses = []
        for rows in held_out:
            trial = ClassMeansHead()
            positive, negative = means(np.setdiff1d(np.arange(len(x)), rows))
            trial.give(means=positive, others=negative, gain=torch.tensor(gain))
            losses.append(_log_loss(trial(samples.x[rows]), y[rows], multilabel=samples.multilabel))
        return float(torch.cat(losses).mean())

    gain, loss = _best(GAINS, log_loss) if held_out else (8.0, None)
    positive, negative = means(np.arange(len(x)))
    head.give(means=positive, others=negative, gain=torch.tensor(gain))
    return Fit(chosen={"gain": gain}, scores={} if loss is None else {"log_loss": loss})


def _best(choices: Sequence[Number], loss: Callable[[Number], float]) -> tuple[Number, float]:
    losses = [loss(choice) for choice in choices]
    best = int(np.argmin(losses))
    return choices[best], losses[best]


def _log_loss(logits: Tensor, targets: Tensor, *, multilabel: bool) -> Tensor:
    """Log loss of each sample (N,), or in multi-label tasks of each known label."""
    if multilabel:
        known = ~targets.isnan()
        return torch.nn.functional.binary_cross_entropy_with_logits(logits[known], targets[known], reduction="none")
    return -(logits.log_softmax(dim=1) * targets).sum(dim=1)
