"""Segmentation without masks or network: k-means of colours, or Otsu's threshold (Otsu 1979).

    k-means    of the colours of each image by itself; nothing is learnt
               or, with `per_image: false`, of a sample of pixels of all training images, the best of several starts
    Otsu       a threshold of the grey values of each image by itself; nothing is learnt

Clusters have no names. As with PiCIE, they are matched to classes on validation masks, unless a person has named them
(`classes`).
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np
import torch
from pydantic import Field, PositiveInt, ValidationInfo, field_validator
from torch import Tensor

from s4mi.contract import (
    Batch,
    ClusterConfig,
    Extractor,
    Fit,
    FittedSegmenter,
    Losses,
    MaskedFeatures,
    Task,
    ViewSpec,
)
from s4mi.maths.kmeans import check_distinct, lloyd, plus_plus_start
from s4mi.nets.colour_clusters import (
    ColourClusters,
    ImageClusters,
    ImageColourClusters,
    OtsuClusters,
    smooth_colours,
)

MOST_PIXELS = 2**16
"""Pixels that k-means is fitted to, drawn at random, as many from each image."""
READ = 16
"""Images read at a time."""
ITERATIONS = 100


class ColourClustersConfig(ClusterConfig):
    """Settings of clusters by colour."""

    summary: ClassVar[str] = "Segment without masks: k-means of colours, or Otsu's threshold, without a network"
    paper: ClassVar[str] = "Otsu 1979, A Threshold Selection Method from Gray-Level Histograms; MacQueen 1967 (k-means)"
    starts: ClassVar[dict[str, str | None]] = {}
    fitted: ClassVar[bool] = True
    default_views: ClassVar[ViewSpec] = ViewSpec(rotation=0.0, flip=False)

    name: Literal["colour_clusters"] = "colour_clusters"
    algorithm: Literal["kmeans", "otsu"] = Field(
        "kmeans",
        description="Clusters: kmeans of colours, or otsu, a threshold of each image's grey values",
    )
    per_image: bool = Field(
        True, description="Run k-means on each image by itself, rather than once on the colours of all images"
    )
    starts_tried: PositiveInt = Field(
        10, description="Number of starts of k-means on all images, of which the best is kept"
    )

    @field_validator("algorithm")
    @classmethod
    def _otsu_has_two(cls, algorithm: Any, info: ValidationInfo) -> Any:
        if algorithm == "otsu" and info.data.get("clusters") not in (None, 2):
            raise ValueError("a threshold gives two clusters; leave method.clusters out, or set algorithm=kmeans")
        return algorithm

    @property
    def backbone_name(self) -> str:
        return "colour" if self.algorithm == "kmeans" else "grey value"

    def technique(self, pretraining: str | None = None) -> str:
        name = super().technique(pretraining)
        if self.algorithm == "otsu":
            return name.replace(self.name, "otsu")
        return name if self.per_image else f"{name}, of all images"

    def build(self, task: Task) -> "ColourClustering":
        return ColourClustering(self, task)


@final
class ColourClustering(FittedSegmenter):
    """Clusters of pixels by colour."""

    def __init__(self, config: ColourClustersConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        count = 2 if config.algorithm == "otsu" else config.clusters or len(task.classes)
        kind: type[ImageClusters] = ImageColourClusters if config.per_image else ColourClusters
        if config.algorithm == "otsu":
            kind = OtsuClusters
        self.answer = kind(count=count, classes=task.classes, named=config.classes)

    @property
    def extractors(self) -> Sequence[Extractor]:
        return ()

    @property
    def matching(self) -> ImageClusters:
        return self.answer

    def head_logits(self, features: Sequence[dict[str, Tensor]], images: Tensor) -> Tensor:
        logits: Tensor = self.answer(images)
        return logits

    @torch.no_grad()
    def fit(self, data: MaskedFeatures, generator: np.random.Generator) -> Fit:
        if not isinstance(self.answer, ColourClusters):
            return Fit()
        each = max(1, MOST_PIXELS // max(len(data), 1))
        parts = []
        for batch in data.batches(size=READ):
            for colours in smooth_colours(batch.images).flatten(2):
                chosen = torch.from_numpy(generator.permutation(colours.shape[1])[:each]).to(colours.device)
                parts.append(colours[:, chosen].T)
        points = torch.cat(parts)
        draws = torch.Generator(points.device).manual_seed(int(generator.integers(2**62)))
        best, least = points[: self.answer.count], torch.inf
        for _ in range(self.config.starts_tried):
            drawn, distinct = plus_plus_start(points, self.answer.count, generator=draws, cosine=False)
            found = lloyd(points, drawn, distinct, iterations=ITERATIONS, generator=draws, cosine=False)
            check_distinct(len(points), self.answer.count, found.distinct)
            within = float((points - found.centroids[found.labels]).square().sum(dim=1).mean())
            if within < least:
                best, least = found.centroids, within
        self.answer.centroids.copy_(best)
        return Fit(losses={"within": least})

    def loss(self, batch: Batch) -> Losses:
        """Mean squared distance from the centroids; of Otsu, minus the mean distance from the threshold."""
        return Losses(within=-self.answer.clusters(batch.images).amax(dim=1).mean())
