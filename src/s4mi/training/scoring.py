"""Scores of predictions that are already made: of all images of a part, of several folds, or of some classes only."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from s4mi.contract import Task
from s4mi.maths.classification_metrics import score_multiclass, score_multilabel
from s4mi.records import ClassificationScores, Predictions
from s4mi.training.shared_classes import SharedClasses


def score_predictions(predictions: Predictions, task: Task) -> ClassificationScores:
    """Score predictions for all classes of a task, or for some of them."""
    count_of = dict(zip(task.classes, task.counts, strict=True))
    counts = torch.tensor([count_of[name] for name in predictions.classes])
    probabilities = torch.from_numpy(predictions.probabilities).float()
    labels = torch.from_numpy(predictions.labels)
    if task.kind == "multilabel":
        known_of = dict(zip(task.classes, task.known or (task.labelled,) * len(task.classes), strict=True))
        majority = 2 * counts > torch.tensor([known_of[name] for name in predictions.classes])
        return score_multilabel(probabilities, labels, predictions.classes, majority=majority)
    return score_multiclass(probabilities, labels.argmax(dim=1), predictions.classes, majority=int(counts.argmax()))


def joined_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Join the predictions for several groups of images by the same classes."""
    known = None if all(part.known is None for part in parts) else np.concatenate([part.labels >= 0 for part in parts])
    return Predictions(
        images=tuple(image for part in parts for image in part.images),
        groups=tuple(group for part in parts for group in part.groups),
        classes=parts[0].classes,
        truth=np.concatenate([part.truth for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        decisions=np.concatenate([part.decisions for part in parts]),
        known=known,
    )


def for_classes(predictions: Predictions, shared: SharedClasses) -> Predictions:
    """Return the columns of the shared classes, which are independent of each other in multi-label tasks."""
    columns = np.flatnonzero(shared.index >= 0)
    return replace(
        predictions,
        classes=shared.names,
        truth=predictions.truth[:, columns],
        probabilities=predictions.probabilities[:, columns],
        decisions=predictions.decisions[:, columns],
        known=None if predictions.known is None else predictions.known[:, columns],
    )
