"""Pixels in clusters by their colour, or by Otsu's threshold of each image, and clusters as classes.

    k-means    z = -|c(x) - μ_k|²      c: smoothed opponent colour of a pixel; μ of all images, or of each by itself,
                                       then in order of the share of the border that they cover, the greatest first
    Otsu       z = ∓(g - t)            t: Otsu's threshold of the image's grey values g; cluster 1 is the side that
                                       covers less of the border of the image, so that it does not matter whether
                                       objects are bright or dark

The class of each cluster is matched on validation masks (`take`), unless a person has named the clusters.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.nets.cluster_classifier import named_clusters
from s4mi.nets.filter_bank import LUMA, gaussian

SMOOTHING = 1.0
"""Standard deviation in pixels of the Gaussian that removes noise from colours."""
LEVELS = 256
ITERATIONS = 20
"""Iterations of k-means of each image."""
NEVER = -1e4
"""Logit of a class without a cluster."""


class ImageClusters(nn.Module, ABC):
    """Clusters of pixels of which each belongs to a class; see `contract.ClusterAssignment`."""

    matched: Tensor
    named: Tensor | None

    def __init__(self, *, count: int, classes: Sequence[str], named: Mapping[int, str] | None = None) -> None:
        """Prepare for `count` clusters.

        Raises:
            S4miError: a cluster has no name, or the name of an unknown class.
        """
        super().__init__()
        self.count, self.classes = count, len(classes)
        self.register_buffer("matched", torch.arange(count).clamp_max(self.classes - 1))
        names = None if named is None else named_clusters(named, count, classes)
        self.register_buffer("named", names, persistent=False)

    @abstractmethod
    def clusters(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, `count`, H, W) logits of the clusters."""

    def take(self, classes: Tensor) -> None:
        """Set the class of each cluster, (`count`,) int64."""
        self.matched.copy_(classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K, H, W): the logit of a class is the maximum over its clusters."""
        logits = self.clusters(images)
        class_of = self.matched if self.named is None else self.named
        member = (class_of == torch.arange(self.classes, device=class_of.device)[:, None])[:, None, :, None, None]
        return torch.stack([torch.where(of_class, logits, NEVER).amax(dim=1) for of_class in member], dim=1)


@final
class ColourClusters(ImageClusters):
    """k-means of the colours of all images, fitted elsewhere."""

    centroids: Tensor

    def __init__(self, *, count: int, classes: Sequence[str], named: Mapping[int, str] | None = None) -> None:
        """Prepare for `count` centroids, which are all black until they are set."""
        super().__init__(count=count, classes=classes, named=named)
        self.register_buffer("centroids", torch.zeros(count, 3))

    def clusters(self, images: Tensor) -> Tensor:
        colours = smooth_colours(images)
        return -_squared_distances(colours.flatten(2), self.centroids).reshape(-1, self.count, *colours.shape[2:])


@final
class ImageColourClusters(ImageClusters):
    """k-means of the colours of each image by itself; nothing is learnt."""

    def clusters(self, images: Tensor) -> Tensor:
        colours = smooth_colours(images)
        points = colours.flatten(2)
        labels = self._start(points[:, 0])
        for _ in range(ITERATIONS):
            member = F.one_hot(labels, self.count).to(points.dtype)  # (B, P, count)
            # An empty cluster gets the mean of the image, and may then win pixels again.
            sums, sizes = points @ member, member.sum(dim=1)[:, None]
            centroids = torch.where(sizes > 0, sums / sizes.clamp_min(1), points.mean(dim=2, keepdim=True))
            distances = _squared_distances(points, centroids.transpose(1, 2))
            labels = distances.argmin(dim=1)
        side = F.one_hot(labels.reshape(-1, *colours.shape[2:]), self.count).movedim(-1, 1)
        place = _place(border_share(side.to(points.dtype)))
        ordered = torch.zeros_like(distances).scatter(1, place[:, :, None].expand_as(distances), distances)
        return -ordered.reshape(-1, self.count, *colours.shape[2:])

    def _start(self, intensity: Tensor) -> Tensor:
        """(B, P) first clusters: equal ranges of the intensity."""
        low, high = intensity.amin(dim=1, keepdim=True), intensity.amax(dim=1, keepdim=True)
        place = (intensity - low) / (high - low).clamp_min(1e-6) * self.count
        return place.long().clamp(0, self.count - 1)


@final
class OtsuClusters(ImageClusters):
    """Two clusters: the sides of Otsu's threshold of each image."""

    def clusters(self, images: Tensor) -> Tensor:
        grey = (images.float() * images.new_tensor(LUMA, dtype=torch.float32)[:, None, None]).sum(dim=1)
        above = grey - otsu_thresholds(grey)[:, None, None]
        border = border_share((above > 0).float()[:, None])
        inside = torch.where(border[:, :, None] > 0.5, -above, above)
        return torch.stack([-inside, inside], dim=1)


def smooth_colours(images: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] → (B, 3, H, W) colours in which k-means works."""
    return gaussian(opponent_colours(images.float()), SMOOTHING)


def border_share(side: Tensor) -> Tensor:
    """(B, K, H, W) 0/1 → (B, K) share of the outermost pixels that are 1."""
    edges = [side[..., 0, :], side[..., -1, :], side[..., :, 0], side[..., :, -1]]
    return torch.cat(edges, dim=-1).mean(dim=-1)


def _place(shares: Tensor) -> Tensor:
    """(B, K) → (B, K) place of each in descending order, of equal ones the first first; ONNX has no stable sort."""
    index = torch.arange(shares.shape[1], device=shares.device)
    own, other = shares[:, :, None], shares[:, None, :]
    return ((other > own) | ((other == own) & (index[None, :] < index[:, None]))).sum(dim=2)


def _squared_distances(points: Tensor, centroids: Tensor) -> Tensor:
    """(B, 3, P) colours and (K, 3) or (B, K, 3) centroids → (B, K, P)."""
    squared = [
        (points[:, channel, None] - centroids[..., channel, None]).square() for channel in range(centroids.shape[-1])
    ]
    return torch.stack(squared).sum(dim=0)


def opponent_colours(images: Tensor) -> Tensor:
    """(B, 3, H, W) RGB → intensity, red less green, and yellow less blue, of about the same spread."""
    red, green, blue = images.unbind(1)
    return torch.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], dim=1)


def otsu_thresholds(grey: Tensor) -> Tensor:
    """(B, H, W) in [0, 1] → (B,) grey values, between two of 256 levels, that separate two classes best (Otsu 1979)."""
    levels = (grey.clamp(0, 1) * (LEVELS - 1)).round().long().flatten(1)
    counts = torch.zeros(levels.shape[0], LEVELS, device=grey.device).scatter_add_(
        1, levels, torch.ones_like(levels).float()
    )
    below = counts.cumsum(1)[:, :-1].double()  # a threshold at level i has levels 0 … i below
    value = torch.arange(LEVELS, device=grey.device, dtype=torch.float64)
    sums = (counts.double() * value).cumsum(1)
    total, mass = counts.sum(1, keepdim=True).double(), sums[:, -1:]
    above = total - below
    difference = sums[:, :-1] / below.clamp_min(1) - (mass - sums[:, :-1]) / above.clamp_min(1)
    between = torch.where((below > 0) & (above > 0), below * above * difference.square(), 0.0)
    return ((between.argmax(dim=1) + 0.5) / (LEVELS - 1)).float()
