"""Classes from colour, texture and shape: the baseline without any network.

    φ(x)    (B, D)    histograms, moments, patterns and shapes (`nets/classical_features.py`)
    z       logistic regression of standardised φ, strength by folds; or gradient boosting of φ

Which of the two, folds inside the labelled images decide by their held-out log loss; with few labels boosting is not
tried, since shallow trees need more samples than a penalised line.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from s4mi.contract import (
    Batch,
    Extractor,
    Fit,
    FittedClassifier,
    LabelledFeatures,
    Losses,
    Task,
)
from s4mi.maths.boosting import boosting_loss, fit_boosting
from s4mi.maths.folds import folds
from s4mi.maths.losses import cross_entropy, multilabel_cross_entropy
from s4mi.methods.feature_fits import Samples, fit_head, not_fitted, weights_of_classes, weights_of_labels
from s4mi.nets.classical_features import ClassicalFeatures
from s4mi.nets.extractor_keys import ExtractorKeys
from s4mi.nets.feature_heads import JoinedFeatures, LinearHead
from s4mi.nets.trees import Trees
from s4mi.settings.classification.classical import FEWEST_FOR_BOOSTING, ClassicalConfig


@final
class Classical(FittedClassifier):
    """Features of colour, texture and shape with a linear or a boosted head; of the two, one is fitted."""

    def __init__(self, config: ClassicalConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task = config, task
        self.features = ClassicalFeatures()
        self.keys = ExtractorKeys([self.features])
        self.standardised = JoinedFeatures()
        self.linear, self.boosted = LinearHead(), Trees()

    @property
    def extractors(self) -> Sequence[Extractor]:
        return (self.features,)

    def fit(self, data: LabelledFeatures, generator: np.random.Generator) -> Fit:
        x, y = data.blocks[0][:, 0], data.labels
        seed = int(generator.integers(2**31))
        self.standardised.fit([torch.from_numpy(x)])
        weight = weights_of_labels(y, weights_of_classes(y, len(self.task.classes), self.config.class_weights))
        samples = Samples(self.standardised([torch.from_numpy(x)]), y, data.groups, len(self.task.classes), weight)
        logistic = fit_head(self.linear, "logistic", samples, np.random.default_rng(seed))
        scores = {f"{name} of logistic": value for name, value in (logistic.scores or {}).items()}
        wanted = self.config.head == "boosting"
        if self.config.head == "auto" and len(y) >= FEWEST_FOR_BOOSTING and scores:
            held_out = folds(y, data.groups, generator=np.random.default_rng(seed))  # those of the logistic regression
            loss = boosting_loss(
                x, y, held_out, classes=samples.classes, sample_weight=samples.weight, seed=seed % 2**16
            )
            scores["log_loss of boosting"] = loss
            wanted = loss < scores["log_loss of logistic"]
        trees = None
        if wanted:
            models = fit_boosting(x, y, classes=samples.classes, sample_weight=samples.weight, seed=seed % 2**16)
            trees = models.trees(x.shape[1])
        if trees is None:
            return Fit(
                not_fitted(y, self.task.classes), chosen={"head": "logistic", **(logistic.chosen or {})}, scores=scores
            )
        self.boosted.set_trees(**vars(trees))
        return Fit(not_fitted(y, self.task.classes), chosen={"head": "boosting"}, scores=scores)

    def head_logits(self, blocks: Sequence[Tensor]) -> Tensor:
        x = blocks[0]
        logits: Tensor = self.boosted(x) if self.boosted.fitted else self.linear(self.standardised([x]))
        return logits

    def loss(self, batch: Batch) -> Losses:
        z, y = self.logits(batch.images), batch.known_labels
        if self.task.kind == "multilabel":
            return Losses(cross_entropy=multilabel_cross_entropy(z, y))
        return Losses(cross_entropy=cross_entropy(z, y))
