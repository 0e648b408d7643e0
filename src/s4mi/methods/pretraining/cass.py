"""CASS: cross-architectural self-supervision (Singh, Sizikova & Cirrone 2022; S4MI section 3.1).

    x              (B, 3, H, W) images, each augmented once
    z_cnn, z_vit   head(cnn(x)), head(vit(x))              (B, D) embeddings, D = 1000 as for ImageNet's logits
    similarity     mean over the batch of 2 - 2 cos(z_cnn, z_vit)
    variance       λ ½ [V(z_cnn) + V(z_vit)],  V(z) = mean over dimensions of max(0, 1 - std(z))      optional

Both networks are updated; there are no negatives and there is no stop-gradient. Constant embeddings minimise the
similarity loss, and training from random weights may collapse to them. Feature collapse is monitored during training,
and the variance term (Bardes et al. 2022) counteracts it.
"""

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import Batch, Losses, Pretrainer, Task
from s4mi.errors import S4miError
from s4mi.maths.distributed import from_all_processes, mean_over_images
from s4mi.nets.backbone import Backbone
from s4mi.nets.initial_weights import IMAGENET
from s4mi.nets.weights import classifier_of
from s4mi.settings.pretraining.cass import CassConfig


@final
class Cass(Pretrainer):
    """A CNN and a transformer trained to agree."""

    def __init__(self, config: CassConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.cnn = _embedder(config.cnn, config.cnn_weights or config.weights, config.embedding, task.image_size)
        self.vit = _embedder(config.vit, config.vit_weights or config.weights, config.embedding, task.image_size)

    def encoders(self) -> dict[str, nn.Module]:
        return {self.config.cnn: self.cnn[0], self.config.vit: self.vit[0]}

    def embedders(self) -> dict[str, nn.Module]:
        return {f"{self.config.cnn} logits": self.cnn, f"{self.config.vit} logits": self.vit}

    def loss(self, batch: Batch) -> Losses:
        z_cnn, z_vit = self.cnn(batch.images), self.vit(batch.images)  # (B, D)
        similarity = mean_over_images(2 - 2 * F.cosine_similarity(z_cnn, z_vit))
        if not self.config.variance_weight:
            return Losses(similarity=similarity)
        variance = (variance_hinge(z_cnn) + variance_hinge(z_vit)) / 2
        return Losses(similarity=similarity, variance=self.config.variance_weight * variance)


def variance_hinge(z: Tensor) -> Tensor:
    """Mean over dimensions of max(0, 1 - std) of (B, D) embeddings scaled to length √D, over all processes.

    This is the variance term of VICReg (Bardes et al. 2022, equation 1) on directions, as the cosine ignores length.
    """
    scaled = from_all_processes(F.normalize(z, dim=1) * z.shape[1] ** 0.5)
    return F.relu(1 - (scaled.var(dim=0) + 1e-4).sqrt()).mean()


def _embedder(name: str, weights: str, width: int, image_size: int) -> nn.Sequential:
    """A backbone with a linear layer to `width` embedding dimensions: the weights' own classifier if it has that width.

    Raises:
        S4miError: ImageNet weights whose classifier has another width.
    """
    backbone = Backbone(name, image_size=image_size, weights=weights)
    classifier = classifier_of(name, weights)
    if classifier is not None and classifier.weight.shape == (width, backbone.features):
        return nn.Sequential(backbone, classifier)
    if classifier is not None and weights == IMAGENET and width != classifier.out_features:
        raise S4miError(
            f"method.embedding must be {classifier.out_features}, the logits of {name!r} with ImageNet weights "
            f"(given {width}); or set method.weights=none"
        )
    return nn.Sequential(backbone, nn.Linear(backbone.features, width))
