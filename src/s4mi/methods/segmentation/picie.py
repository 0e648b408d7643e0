"""PiCIE, segmentation without masks (Cho et al. 2021; S4MI section 4.2.2), and its baseline MDC.

    x             (B, 3, H, W) images
    P_1, P_2      photometric augmentations (colour jitter); G a geometric one (random resized crop, flip)
    z_1, z_2      f(G(P_1(x))), G(f(P_2(x)))              (B, D, h, w) pixel features of unit length
    μ_v, y_v      k-means of z_v                          (K, D) centroids and (B, h, w) clusters of each view v,
                                                          by cosine over all images, before each epoch
    L(z, y, μ)    -w_y log softmax_k <z, μ_k> at k = y    w_k ∝ 1 / size of cluster k
    within        ½ [L(z_1, y_1, μ_1) + L(z_2, y_2, μ_2)]
    across        ½ [L(z_1, y_2, μ_2) + L(z_2, y_1, μ_1)]
    loss          ½ (within + across)

The cluster of a pixel shall be invariant to photometric and equivariant to geometric augmentation. The centroids are
classifiers that stay fixed for an epoch; gradients reach the features only. MDC is DeepCluster (Caron et al. 2018) of
pixels: one view, loss L(z_1, y_1, μ_1).

Clusters have no names. For scoring, they are matched to classes on validation masks. Without any masks the clusters
themselves are the prediction, until a person inspects and names them (`classes`).
"""

import math
from typing import final

import torch
from torch import Tensor

from s4mi.contract import (
    Batch,
    Batches,
    CollapseError,
    Losses,
    Segmenter,
    Task,
    TrainState,
)
from s4mi.maths.distributed import sum_over_processes
from s4mi.maths.geometry import warp
from s4mi.maths.kmeans import TooFewPointsError, cluster_sizes
from s4mi.maths.losses import cross_entropy
from s4mi.maths.pixel_clusters import PixelClusters, PixelLabels
from s4mi.nets.block_maps import has_one_stride
from s4mi.nets.cluster_classifier import ClusterClassifier
from s4mi.nets.fpn import FPN
from s4mi.nets.initial_weights import start_weights
from s4mi.nets.pixel_features import PixelFeatures
from s4mi.nets.segmentation import log_padding
from s4mi.nets.token_features import TokenFeatures
from s4mi.nets.tuning import hold_frozen
from s4mi.settings.segmentation.picie import ClusteringConfig

MAX_SHARE = 0.99
"""A cluster with more than this share of the pixels counts as collapse."""
MIN_DISTANCE = 1e-4
"""If no two centroids are further apart than this cosine distance, the features have collapsed."""


@final
class PixelClustering(Segmenter):
    """PiCIE with two views of each image, MDC with one."""

    def __init__(self, config: ClusteringConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.views = len(config.crops(task.image_size).images)
        count = config.clusters or len(task.classes)
        self.answer = ClusterClassifier(
            _pixel_features(config, task.image_size),
            count=count,
            views=self.views,
            centred=config.centred,
            classes=task.classes,
            named=config.classes,
        )
        self.clusterings: tuple[PixelLabels, ...] = ()
        self.state = TrainState(step=0, per_epoch=1, total=1)
        self.predicted: Tensor | None = None
        self.largest_predicted = math.nan

    def train(self, mode: bool = True) -> "PixelClustering":
        super().train(mode)
        if self.config.tuning == "head":  # batch normalisation of a frozen backbone uses its own statistics
            hold_frozen(self.answer.net)
        return self

    @property
    def matching(self) -> ClusterClassifier:
        return self.answer

    def logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.answer(images)
        return logits

    @torch.no_grad()
    def before_epoch(self, batches: Batches) -> None:
        """Cluster the pixels of the views that this epoch trains on; their labels stay in memory, one byte each.

        The network stays in training mode: batch normalisation uses the statistics of each batch, as in training, and
        updates its running averages.
        """
        generator = _generator(self.answer.centroids.device)
        count, kept = self.answer.count, self.config.kept_batches
        views = [PixelClusters(count, generator=generator, kept_batches=kept) for _ in range(self.views)]
        try:
            for batch in batches:
                for view, z in zip(views, self.features(batch), strict=True):
                    view.add(z)
            self.clusterings = tuple(view.finish() for view in views)
        except TooFewPointsError as error:
            raise CollapseError(f"the features of all pixels are the same ({error})") from error
        for number, clustering in enumerate(self.clusterings):
            self._check(clustering)
            self.answer.centroids[number] = clustering.centroids

    def before_step(self, state: TrainState) -> None:
        self.state = state

    def after_step(self, state: TrainState) -> None:
        """At the end of an epoch, check that the network itself does not predict one cluster everywhere."""
        if state.step % state.per_epoch or self.predicted is None:
            return
        predicted, self.predicted = sum_over_processes(self.predicted), None
        self.largest_predicted = float(predicted.max() / predicted.sum())
        if self.largest_predicted > MAX_SHARE:
            raise CollapseError(f"one cluster is predicted for {self.largest_predicted:.2%} of the pixels")

    def features(self, batch: Batch) -> tuple[Tensor, ...]:
        """(B, D, h, w) features of each view, of unit length at every pixel, in the geometry of the first view."""
        first, *others = self.answer.net(batch.images).float().chunk(self.views)
        geometry = batch.known_affine[: len(first)]
        return tuple(self.answer.directions(z) for z in (first, *(warp(other, geometry) for other in others)))

    def loss(self, batch: Batch) -> Losses:
        z = self.features(batch)
        if self.views == 1:
            return Losses(within=self._classify(z[0], 0))
        (l_11, l_12), (l_21, l_22) = [[self._classify(z_v, w) for w in range(2)] for z_v in z]  # L(z_v, y_w, μ_w)
        return Losses(within=(l_11 + l_22) / 4, across=(l_12 + l_21) / 4)

    def _classify(self, z: Tensor, view: int) -> Tensor:
        """L(z, y, μ) with the clusters y and the centroids μ of a view."""
        clustering = self.clusterings[view]
        logits = torch.einsum("bdhw,kd->bkhw", z, clustering.centroids)
        step = self.state.step % self.state.per_epoch
        if view == 0 and 2 * (step + 1) > self.state.per_epoch:
            self._count(logits)
        weight = None
        if self.config.balance:
            weight = torch.where(clustering.counts > 0, clustering.counts.sum() / clustering.counts.clamp_min(1), 0)
        return cross_entropy(logits, clustering.labels[step].long(), weight)

    @torch.no_grad()
    def _count(self, logits: Tensor) -> None:
        """Count how often each cluster is predicted in the second half of an epoch."""
        counts = cluster_sizes(logits.argmax(dim=1), self.answer.count)
        self.predicted = counts if self.predicted is None else self.predicted + counts

    def signals(self) -> dict[str, float]:
        """Shares of the largest cluster among assigned and predicted pixels, empty clusters, centroid distance."""
        if not self.clusterings:
            return {}
        return {
            "largest_cluster": max(clustering.largest for clustering in self.clusterings),
            "largest_prediction": self.largest_predicted,
            "empty_clusters": float(max(clustering.empty for clustering in self.clusterings)),
            "centroid_distance": min(clustering.distance for clustering in self.clusterings),
        }

    def _check(self, clustering: PixelLabels) -> None:
        count = len(clustering.counts)
        if clustering.largest > MAX_SHARE:
            raise CollapseError(f"one cluster holds {clustering.largest:.2%} of the pixels")
        if count - clustering.empty < min(count, self.answer.classes):
            raise CollapseError(f"{clustering.empty} of {count} clusters are empty")
        if clustering.distance < MIN_DISTANCE:
            raise CollapseError(f"the largest cosine distance between two centroids is {clustering.distance:.1e}")


def _pixel_features(config: ClusteringConfig, image_size: int) -> PixelFeatures:
    """The network of a method: a feature pyramid on a CNN, the tokens of a ViT."""
    weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
    net: FPN | TokenFeatures
    if has_one_stride(config.backbone):
        net = TokenFeatures(config.backbone, width=config.width, image_size=image_size, weights=weights)
    else:
        net = FPN(config.backbone, width=config.width, image_size=image_size, weights=weights)
        log_padding(image_size, FPN.stride)
    if config.tuning == "head":
        net.encoder.requires_grad_(False)
    return net


def _generator(device: torch.device) -> torch.Generator:
    """A generator on the device, so that no draw is copied there, seeded from the global one."""
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, ())))
