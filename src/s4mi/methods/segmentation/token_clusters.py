"""Segmentation without masks: k-means of the tokens of a frozen encoder.

    m_i    (B, C_i, h, w) feature maps of chosen blocks of the encoder, on the grid of the finest
    z      [m_1 / |m_1|, m_2 / |m_2|, …], minus its mean over the image if `centred`, of unit length
    μ      k-means of z by cosine, of a sample of the tokens of all training images: the best of several starts
    p      argmax_k <z, μ_k>, enlarged to the pixels

Clusters have no names. As with PiCIE, they are matched to classes on validation masks, unless a person has named them
(`classes`). k-means on the tokens of a self-supervised ViT is the baseline of Hamilton et al. 2022.
"""

from collections.abc import Sequence
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import (
    Batch,
    Extractor,
    Fit,
    FittedSegmenter,
    Losses,
    MaskedFeatures,
    Task,
)
from s4mi.maths.kmeans import as_points, assign, check_distinct, check_finite, lloyd, plus_plus_start
from s4mi.nets.block_maps import block_widths, frozen_encoders
from s4mi.nets.cluster_classifier import ClusterClassifier
from s4mi.nets.extractor_keys import ExtractorKeys
from s4mi.nets.frozen_encoder import TOKENS
from s4mi.nets.initial_weights import start_weights
from s4mi.nets.pixel_features import PixelFeatures
from s4mi.nets.token_decoder import enlarged, finest_grid
from s4mi.settings.segmentation.token_clusters import TokenClustersConfig

MOST_TOKENS = 2**16
"""Tokens that k-means is fitted to, drawn at random, as many from each image."""
READ = 16
"""Images read at a time."""
ITERATIONS = 100


@final
class TokenClusters(FittedSegmenter):
    """k-means on the joined feature maps of a frozen encoder."""

    def __init__(self, config: TokenClustersConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
        encoders = frozen_encoders(
            config.backbone, weights=weights, image_size=task.image_size, sizes=config.encoder_sizes,
            blocks=config.blocks,
        )  # fmt: skip
        net = JoinedTokens(encoders, width=sum(block_widths(config.backbone, config.blocks)) * len(encoders))
        self.answer = ClusterClassifier(
            net,
            count=config.clusters or len(task.classes),
            views=1,
            centred=config.centred,
            classes=task.classes,
            named=config.classes,
        )
        self.tokens = net
        self.keys = ExtractorKeys(encoders)

    @property
    def extractors(self) -> Sequence[Extractor]:
        return self.tokens.extractors

    @property
    def matching(self) -> ClusterClassifier:
        return self.answer

    def head_logits(self, features: Sequence[dict[str, Tensor]], images: Tensor) -> Tensor:
        cosines = self.answer.cosines(self.tokens.join(features), images.shape[-2:])
        return self.answer.class_logits(cosines)

    @torch.no_grad()
    def fit(self, data: MaskedFeatures, generator: np.random.Generator) -> Fit:
        points = self._points(data, generator)
        draws = torch.Generator(points.device).manual_seed(int(generator.integers(2**62)))
        centroids, similarity = _best_of_starts(
            points, self.answer.count, starts=self.config.starts_tried, generator=draws
        )
        self.answer.centroids[0] = centroids
        return Fit(scores={"cosine to the centroid": similarity}, losses={"within": 1 - similarity})

    def _points(self, data: MaskedFeatures, generator: np.random.Generator) -> Tensor:
        """(N, D) directions of a sample of the tokens."""
        each = max(1, MOST_TOKENS // len(data))
        parts = []
        for batch in data.batches(size=READ):
            for z in self.answer.directions(self.tokens.join(batch.features)).flatten(2):
                chosen = torch.from_numpy(generator.permutation(z.shape[1])[:each]).to(z.device)
                parts.append(z[:, chosen].T)
        return as_points(torch.cat(parts), cosine=True)

    def loss(self, batch: Batch) -> Losses:
        """Mean cosine distance of the tokens from their centroids, which k-means lowers."""
        z = self.answer.directions(self.tokens(batch.images))
        cosines = torch.einsum("bdhw,kd->bkhw", z, self.answer.centroids[0])
        return Losses(within=1 - cosines.amax(dim=1).mean())


@final
class JoinedTokens(PixelFeatures):
    """(B, 3, H, W) in [0, 1] → (B, `width`, h, w): the maps of all encoders and blocks, each of unit length, joined."""

    cell = None

    def __init__(self, encoders: Sequence[Extractor], *, width: int) -> None:
        super().__init__()
        self.encoders, self.width = nn.ModuleList(encoders), width

    @property
    def extractors(self) -> Sequence[Extractor]:
        return [encoder for encoder in self.encoders if isinstance(encoder, Extractor)]

    def forward(self, images: Tensor) -> Tensor:
        return self.join([extractor(images) for extractor in self.extractors])

    def join(self, features: Sequence[dict[str, Tensor]]) -> Tensor:
        """Outputs of the extractors → (B, `width`, h, w) on the grid of the finest map."""
        maps = [map_ for outputs in features for name, map_ in outputs.items() if name.startswith(TOKENS)]
        finest = finest_grid(maps)
        return torch.cat([enlarged(F.normalize(map_, dim=1), finest) for map_ in maps], dim=1)


def _best_of_starts(points: Tensor, clusters: int, *, starts: int, generator: torch.Generator) -> tuple[Tensor, float]:
    """Centroids (K, D) of the start whose points are nearest to them, and their mean cosine to them.

    Raises:
        S4miError: features that are not finite, or fewer distinct points than clusters.
    """
    check_finite(torch.isfinite(points).all())
    best, most = points[:clusters], -torch.inf
    for _ in range(starts):
        drawn, distinct = plus_plus_start(points, clusters, generator=generator, cosine=True)
        found = lloyd(points, drawn, distinct, iterations=ITERATIONS, generator=generator, cosine=True)
        check_distinct(len(points), clusters, found.distinct)
        labels = assign(points, found.centroids)
        similarity = float((points * found.centroids[labels]).sum(dim=1).mean())
        if similarity > most:
            best, most = found.centroids, similarity
    return best, most
