"""Pseudo-labels for classes (Lee 2013), on frozen features: a head learns from its own sure predictions as well.

    x, y      (N, D) features of the labelled images, standardised on them and joined as in `frozen`, and their labels
    u         (U, D) features of the other training images
    teacher   argmin Σ w CE(W x + b, y) + λ/2 |W|²
    p, ŷ      greatest softmax of the teacher for u and its class k; M of them are kept, where p ≥ t_k
    student   argmin Σ w CE(W x + b, y) + ω N/M Σ w CE(W u + b, ŷ) + λ/2 |W|²         over the kept u

Multi-label tasks have a binary problem for each class, whose sure positives and negatives are kept. All choices are
made by folds inside the labelled images: λ by the teacher's held-out loss; t_k so that as large a share of each class's
held-out predictions is kept as reaches the wanted precision; ω, which may be 0, by the held-out loss of students whose
teachers have not seen the fold either. The labels of the other images are not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from s4mi.contract import (
    Batch,
    Extractor,
    Fit,
    FittedClassifier,
    LabelledFeatures,
    Losses,
    Task,
)
from s4mi.maths.folds import folds
from s4mi.maths.logistic import LinearFit, LogisticProblem
from s4mi.maths.losses import cross_entropy, multilabel_cross_entropy
from s4mi.methods.class_pseudo_labels import held_out_thresholds, kept_labels, problems
from s4mi.methods.feature_fits import not_fitted, weights_of_classes, weights_of_labels
from s4mi.nets.extractor_keys import ExtractorKeys
from s4mi.nets.feature_heads import JoinedFeatures, LinearHead
from s4mi.nets.initial_weights import start_weights
from s4mi.nets.joined_extractors import joined_extractors
from s4mi.records import IGNORE
from s4mi.settings.classification.pseudo_labels import PseudoLabelsConfig

WEIGHTS = (0.0, 0.3, 1.0)
"""ω to choose from."""
STRENGTH = 0.03
"""λ where there are no folds, such as with one image of each class."""
MOST_FOLDS = 5
"""Folds by which ω is chosen; more are joined, as each costs a student for each ω."""

Floats = NDArray[np.float64]


@final
class PseudoLabels(FittedClassifier):
    """Frozen features and a linear head that is fitted to labels and pseudo-labels."""

    def __init__(self, config: PseudoLabelsConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task = config, task
        self.multilabel = task.kind == "multilabel"
        weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
        self._extractors = nn.ModuleList(
            joined_extractors(config.backbone, weights=weights, join=config.join, image_size=task.image_size)
        )
        self.keys = ExtractorKeys(self.extractors)
        self.joined = JoinedFeatures()
        self.head = LinearHead()

    @property
    def extractors(self) -> Sequence[Extractor]:
        return [each for each in self._extractors if isinstance(each, Extractor)]

    @property
    def uses_unlabelled(self) -> bool:
        return True

    def head_logits(self, blocks: Sequence[Tensor]) -> Tensor:
        z: Tensor = self.head(self.joined(list(blocks)))
        return z

    def loss(self, batch: Batch) -> Losses:
        z, y = self.logits(batch.images), batch.known_labels
        return Losses(cross_entropy=multilabel_cross_entropy(z, y) if self.multilabel else cross_entropy(z, y))

    def fit(self, data: LabelledFeatures, generator: np.random.Generator) -> Fit:
        blocks = [torch.from_numpy(block[:, 0]) for block in data.blocks]
        self.joined.fit(blocks)
        x = self.joined(blocks).double().numpy()
        others = [torch.from_numpy(block) for block in data.unlabelled]
        u = self.joined(others).double().numpy() if others else x[:0]
        of_class = weights_of_classes(data.labels, len(self.task.classes), self.config.class_weights)
        known_labels = np.nan_to_num(data.labels) if self.multilabel else data.labels  # unknown ones have weight 0
        labelled = Samples(x, known_labels, weights_of_labels(data.labels, of_class))
        held_out = folds(data.labels, data.groups, generator=generator)
        if not held_out:
            self._take(self._problem(labelled).fit(STRENGTH))
            unjudged = "no pseudo-labels, as no label can be held out to judge them; label more images"
            return Fit(notes=(unjudged, *not_fitted(data.labels, self.task.classes)))
        path = self._problem(labelled).path(held_out)
        known = np.concatenate(held_out)
        thresholds, share = held_out_thresholds(
            path.logits[path.best][known], data.labels[known], multilabel=self.multilabel,
            keep=self.config.keep, precision=self.config.precision,
        )  # fmt: skip
        choice = Choice(path.strength, thresholds, of_class, self.config.unlabelled_weight)
        scores = {"log_loss": float(path.losses[path.best])}
        if choice.weight is None:
            losses = self._losses_of_students(labelled, u, choice, at_most(held_out, MOST_FOLDS))
            choice = replace(choice, weight=min(losses, key=lambda weight: losses[weight]))
            scores |= {f"log_loss with weight {weight:g}": loss for weight, loss in losses.items()}
        student, kept = self._student(labelled, u, choice)
        self._take(student)
        used = f"{kept} of {len(u)} training images without labels have pseudo-labels"
        unhelpful = "no pseudo-labels, as they do not lower the loss on held-out labels"
        return Fit(
            notes=(used if choice.weight else unhelpful, *not_fitted(data.labels, self.task.classes)),
            chosen={"strength": choice.strength, "share": share, "unlabelled_weight": choice.weight or 0.0},
            scores=scores,
        )

    def _take(self, fit: LinearFit) -> None:
        self.head.give(weight=torch.from_numpy(fit.weight), bias=torch.from_numpy(fit.bias))

    def _problem(self, samples: "Samples") -> LogisticProblem:
        classes = None if self.multilabel else len(self.task.classes)
        return LogisticProblem(
            samples.x, samples.labels, classes=classes, sample_weight=samples.weight, multilabel=self.multilabel
        )

    def _pseudo_labels(self, teacher: LinearFit, u: Floats, choice: "Choice") -> "Samples":
        """Pseudo-labels as (U,) or (U, K); the weight is 0 where the teacher is not sure enough."""
        labels = kept_labels(torch.from_numpy(teacher.logits(u)), choice.thresholds, multilabel=self.multilabel)
        known = (labels != IGNORE).numpy()
        classes = np.where(known, labels.numpy(), 0)
        return Samples(u, classes, known * weights_of_labels(classes, choice.of_class))

    def _student(self, labelled: "Samples", u: Floats, choice: "Choice") -> tuple[LinearFit, int]:
        """The student of a teacher that is fitted to these labels, and the number of images with a pseudo-label."""
        teacher = self._problem(labelled).fit(choice.strength)
        pseudo = self._pseudo_labels(teacher, u, choice) if choice.weight and len(u) else None
        if pseudo is None or not pseudo.weight.any():
            return teacher, 0
        used = pseudo.of(np.flatnonzero(pseudo.weight.reshape(len(u), -1).sum(axis=1)))
        scale = (choice.weight or 0.0) * labelled.weight.sum() / used.weight.sum()
        both = labelled.joined(replace(used, weight=scale * used.weight))
        return self._problem(both).fit(choice.strength), len(used.x)

    def _losses_of_students(
        self, labelled: "Samples", u: Floats, choice: "Choice", held_out: Sequence[NDArray[np.int64]]
    ) -> dict[float, float]:
        """Mean held-out loss of students for each of `WEIGHTS`; neither they nor their teachers know the fold."""
        total = dict.fromkeys(WEIGHTS, 0.0)
        for rows in held_out:
            seen, unseen = labelled.of(np.setdiff1d(np.arange(len(labelled.x)), rows)), labelled.of(rows)
            for weight in WEIGHTS:
                student, _ = self._student(seen, u, replace(choice, weight=weight))
                total[weight] += self._loss(student.logits(unseen.x), unseen)
        return {weight: loss / sum(map(len, held_out)) for weight, loss in total.items()}

    def _loss(self, logits: Floats, samples: "Samples") -> float:
        """Sum of the weighted log losses."""
        losses = [
            F.cross_entropy(z, torch.from_numpy(true.astype(np.int64)), reduction="none").numpy()
            for z, true in problems(logits, samples.labels, multilabel=self.multilabel)
        ]
        weights = samples.weight.T if self.multilabel else samples.weight[None]
        return float((np.stack(losses) * weights).sum())


@dataclass(frozen=True)
class Samples:
    """Features (N, D), labels (N,) or (N, K), and the weight of each label."""

    x: Floats
    labels: NDArray[Any]
    weight: Floats

    def of(self, chosen: NDArray[np.int64]) -> "Samples":
        """The samples of these indices."""
        return Samples(self.x[chosen], self.labels[chosen], self.weight[chosen])

    def joined(self, other: "Samples") -> "Samples":
        """These and others."""
        mine, theirs = ((each.x, each.labels, each.weight) for each in (self, other))
        return Samples(*(np.concatenate(pair) for pair in zip(mine, theirs, strict=True)))


@dataclass(frozen=True)
class Choice:
    """λ, the thresholds of pseudo-labels, the weight of each class, and ω if it is chosen."""

    strength: float
    thresholds: Tensor
    of_class: Floats
    weight: float | None


def at_most(held_out: Sequence[NDArray[np.int64]], count: int) -> list[NDArray[np.int64]]:
    """The same held-out images in at most `count` folds."""
    return [np.concatenate(held_out[first::count]) for first in range(min(count, len(held_out)))]
