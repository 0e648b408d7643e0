"""Segmentation without masks or network: k-means of colours, or Otsu's threshold (Otsu 1979).

    k-means    of the colours of each image by itself; nothing is learnt
               or, with `per_image: false`, of a sample of pixels of all training images, the best of several starts
    Otsu       a threshold of the grey values of each image by itself; nothing is learnt

Clusters have no names. As with PiCIE, they are matched to classes on validation masks, unless a person has named them
(`classes`).
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
    FittedSegmenter,
    Losses,
    MaskedFeatures,
    Task,
)
from s4mi.maths.kmeans import check_distinct, lloyd, plus_plus_start
from s4mi.nets.colour_clusters import (
    ColourClusters,
    ImageClusters,
    ImageColourClusters,
    OtsuClusters,
    smooth_colours,
)
from s4mi.settings.segmentation.colour_clusters import ColourClustersConfig

MOST_PIXELS = 2**16
"""Pixels that k-means is fitted to, drawn at random, as many from each image."""
READ = 16
"""Images read at a time."""
ITERATIONS = 100


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
