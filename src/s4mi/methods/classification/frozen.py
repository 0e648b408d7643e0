"""A light head on frozen features: an answer from few labels within seconds.

    φ_i(x)   (B, D_i)   features of an encoder that is never trained, and of colour, texture and shape
    s        each block standardised on the labelled images of the run and divided by √D_i
    z        head(s(φ_1(x), φ_2(x), …))              (B, K)

The features are computed once and stored; see `contract/features.py`. Every choice, such as the strength of the
penalty, is made by folds inside the labelled images.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor, nn

from s4mi.contract import (
    TURNS,
    Batch,
    Extractor,
    Fit,
    FittedClassifier,
    FrozenEncoderConfig,
    LabelledFeatures,
    Losses,
    Task,
    ViewSpec,
    WeightRule,
)
from s4mi.maths.losses import class_weights, cross_entropy, multilabel_cross_entropy, positive_weights
from s4mi.methods.feature_fits import Samples, fit_head, new_head
from s4mi.nets.extractor_keys import ExtractorKeys
from s4mi.nets.feature_heads import HeadName, JoinedFeatures
from s4mi.nets.joined_extractors import CLASSICAL, joined_extractors
from s4mi.nets.weights import start_weights
from s4mi.records import TaskKind


class FrozenConfig(FrozenEncoderConfig):
    """Settings of a head on frozen features."""

    summary: ClassVar[str] = "Fit a light head to the features of a frozen encoder, computed once and stored"
    paper: ClassVar[str] = "Alain & Bengio 2016, Understanding intermediate layers using linear classifier probes"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel"})
    default_views: ClassVar[ViewSpec] = ViewSpec()

    name: Literal["frozen"] = "frozen"
    join: tuple[str, ...] = Field(
        (CLASSICAL,),
        description="Further features to join to those of the backbone: classical (colour, texture and shape), or "
        "encoders as NAME=FILE, or NAME for its ImageNet weights",
    )
    head: HeadName = Field(
        "logistic", description="Head: logistic or ridge regression, nearest neighbours, or the means of the classes"
    )
    class_weights: WeightRule | tuple[float, ...] = Field(
        "inverse",
        description="Class weights of the fit: none, inverse or median frequency of the labelled images, or a list of "
        "numbers; multi-label: weights of the positives",
    )
    turns: int = Field(
        1, ge=1, le=TURNS, description="Number of views of each labelled image to fit on: flips and quarter turns"
    )

    @field_validator("join", mode="before")
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def technique(self, pretraining: str | None = None) -> str:
        head = "" if self.head == "logistic" else f", {self.head}"
        joined = "".join(f" + {name.partition('=')[0]}" for name in self.join)
        start = "" if pretraining is None else f" from {pretraining}"
        return f"frozen{start}{joined}{head}"

    def build(self, task: Task) -> "Frozen":
        return Frozen(self, task)


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
        samples = Samples(self.joined(blocks), labels, groups, len(self.task.classes), self._weights(labels) / views)
        fit = fit_head(self.head, self.config.head, samples, generator)
        return Fit(notes=self._notes(data), chosen=fit.chosen, scores=fit.scores)

    def _weights(self, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Weight of each sample, (N,), or (N, K) for multi-label tasks; 1 on average."""
        if self.multilabel:
            positives = [int(count) for count in labels.sum(axis=0)]
            weight = positive_weights(positives, len(labels), self.config.class_weights)
            if weight is None:
                return np.ones(len(labels))
            return np.where(labels > 0, weight.double().numpy(), 1.0)
        counts = np.bincount(labels, minlength=len(self.task.classes))
        weight = class_weights([int(count) for count in counts], self.config.class_weights)
        return np.ones(len(labels)) if weight is None else weight.double().numpy()[labels]

    def _notes(self, data: LabelledFeatures) -> tuple[str, ...]:
        if not self.multilabel:
            return ()
        constant = (data.labels.sum(axis=0) == 0) | (data.labels.sum(axis=0) == len(data.labels))
        names = [name for name, same in zip(self.task.classes, constant, strict=True) if same]
        if not names:
            return ()
        return (f"not fitted, as all labelled images agree: {', '.join(names)}; label more images",)

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
