"""Clusters of pixels as a segmenter: each pixel belongs to the nearest centroid, and each cluster to a class."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.errors import S4miError, nearest
from s4mi.nets.pixel_features import PixelFeatures


@final
class ClusterClassifier(nn.Module):
    """(B, 3, H, W) in [0, 1] → (B, K, H, W) logits: the logit of a class is the maximum over its clusters.

    The class of each cluster is matched on validation masks (`take`), unless a person has named the clusters (`named`).
    """

    centroids: Tensor
    matched: Tensor
    named: Tensor | None

    def __init__(
        self,
        net: PixelFeatures,
        *,
        count: int,
        views: int,
        centred: bool,
        classes: Sequence[str],
        named: Mapping[int, str] | None = None,
    ) -> None:
        """Prepare for `count` clusters of the features of `net`.

        Args:
            views: number of views whose centroids are stored; those of the first view classify.
            centred: subtract the mean over an image from its features.
            named: class of each cluster.

        Raises:
            S4miError: a cluster has no name, or the name of an unknown class.
        """
        super().__init__()
        self.net, self.count, self.centred, self.classes = net, count, centred, len(classes)
        self.register_buffer("centroids", torch.zeros(views, count, net.width))
        self.register_buffer("matched", torch.arange(count).clamp_max(self.classes - 1))
        self.register_buffer(
            "named", None if named is None else named_clusters(named, count, classes), persistent=False
        )

    def directions(self, features: Tensor) -> Tensor:
        """(B, D, h, w) features of any length → float32, of unit length at every pixel."""
        z = features.float()
        if self.centred:
            z = z - z.mean(dim=(2, 3), keepdim=True)
        return F.normalize(z, dim=1)

    def clusters(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, `count`, H, W) logits of the clusters, the cosines with their centroids."""
        return self.cosines(self.net(images), images.shape[-2:])

    def forward(self, images: Tensor) -> Tensor:
        return self.class_logits(self.clusters(images))

    def cosines(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """(B, D, h, w) features of `net` → (B, `count`, `size`) cosines with the centroids, at the images' size."""
        cosines = torch.einsum("bdhw,kd->bkhw", self.directions(features), self.centroids[0])
        return self.net.enlarge(cosines, size)

    def class_logits(self, cosines: Tensor) -> Tensor:
        """(B, `count`, H, W) cosines → (B, K, H, W) logits."""
        class_of = self.matched if self.named is None else self.named
        member = (class_of == torch.arange(self.classes, device=class_of.device)[:, None])[:, None, :, None, None]
        # Below the smallest cosine, -1, so that a class without a cluster is never predicted.
        return torch.stack([torch.where(of_class, cosines, -10.0).amax(dim=1) for of_class in member], dim=1)

    def take(self, classes: Tensor) -> None:
        """Set the class of each cluster, (`count`,) int64."""
        self.matched.copy_(classes)


def named_clusters(named: Mapping[int, str], count: int, classes: Sequence[str]) -> Tensor:
    """(count,) class of each cluster, from its name.

    Raises:
        S4miError: a cluster has no name, or the name of an unknown class.
    """
    if sorted(named) != list(range(count)):
        raise S4miError(
            f"method.classes must name the clusters 0 to {count - 1} (names {', '.join(map(str, sorted(named)))}); "
            "several clusters may share a name"
        )
    for number, name in named.items():
        if name not in classes:
            raise S4miError(
                f"method.classes: unknown class {name!r} of cluster {number}{nearest(name, classes)}; choose from "
                f"{', '.join(classes)}"
            )
    return torch.tensor([classes.index(named[number]) for number in range(count)])
