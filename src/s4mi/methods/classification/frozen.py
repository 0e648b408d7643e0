"""A light head on frozen features: an answer from few labels within seconds.

    φ_i(x)   (B, D_i)   features of an encoder that is never trained, and of colour, texture and shape
    s        each block standardised on the labelled images of the run and divided by √D_i
    z        head(s(φ_1(x), φ_2(x), …))              (B, K)

The features are computed once and stored; see `contract/features.py`. Every choice, such as the strength of the
penalty, is made by folds inside the labelled images.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
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
from s4mi.maths.losses import cross_entropy, multilabel_cross_entropy
from s4mi.methods.feature_fits import Samples, fit_head, new_head, not_fitted, weights_of_classes, weights_of_labels
from s4mi.nets.extractor_keys import ExtractorKeys
from s4mi.nets.feature_heads import JoinedFeatures
from s4mi.nets.initial_weights import start_weights
from s4mi.nets.joined_extractors import joined_extractors
from s4mi.settings.classification.frozen import FrozenConfig


@final
class Frozen(FittedClassifier):
    """Frozen features and a head that is fitted to them."""

    def __init__(self, config: FrozenConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task = config, task
        self.multilabel = task.kind == "multilabel"
        self._extractors = nn.ModuleList(_extractors(config, task.image_size))
        self.keys = ExtractorKeys(self.extractors)
        self.joined = JoinedFeatures()
        self.head = new_head(config.head, multilabel=self.multilabel)

    @property
    def extractors(self) -> Sequence[Extractor]:
        return list(self._extractors)  # type: ignore[arg-type]

    @property
    def views(self) -> int:
        return self.config.turns

    def fit(self, data: LabelledFeatures, generator: np.random.Generator) -> Fit:
        views = data.blocks[0].shape[1]
        blocks = [torch.from_numpy(block).flatten(0, 1) for block in data.blocks]
        self.joined.fit([torch.from_numpy(block[:, 0]) for block in data.blocks])
        labels, groups = np.repeat(data.labels, views, axis=0), np.repeat(data.groups, views)
        of_class = weights_of_classes(data.labels, len(self.task.classes), self.config.class_weights)
        weight = weights_of_labels(labels, of_class) / views
        samples = Samples(self.joined(blocks), labels, groups, len(self.task.classes), weight, views)
        fit = fit_head(self.head, self.config.head, samples, generator)
        return Fit(notes=not_fitted(data.labels, self.task.classes), chosen=fit.chosen, scores=fit.scores)

    def head_logits(self, blocks: Sequence[Tensor]) -> Tensor:
        z: Tensor = self.head(self.joined(list(blocks)))
        return z

    def loss(self, batch: Batch) -> Losses:
        z, y = self.logits(batch.images), batch.known_labels
        if self.multilabel:
            return Losses(cross_entropy=multilabel_cross_entropy(z, y))
        return Losses(cross_entropy=cross_entropy(z, y))


def _extractors(config: FrozenConfig, image_size: int) -> list[Extractor]:
    weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
    return joined_extractors(config.backbone, weights=weights, join=config.join, image_size=image_size)
