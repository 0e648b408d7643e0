"""SimCLR: a simple framework for contrastive learning (Chen et al. 2020).

x_0, x_1   (B, 3, H, W) two views of each image
z          head(backbone(x)) / ‖head(backbone(x))‖       (2B, D) embeddings of unit length
loss       mean over i of -log [exp(z_i · z_j / τ) / Σ_{k ≠ i} exp(z_i · z_k / τ)],   j: the other view of image i
"""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4mi.contract import Batch, Losses, Pretrainer, Task
from s4mi.maths.distributed import from_all_processes
from s4mi.nets.backbone import Backbone
from s4mi.nets.heads import ProjectionHead
from s4mi.settings.pretraining.simclr import SimclrConfig


@final
class Simclr(Pretrainer):
    """A backbone and a projection head."""

    def __init__(self, config: SimclrConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone, image_size=task.image_size, weights=config.weights)
        self.head = ProjectionHead(self.backbone.features, hidden=config.hidden, projection=config.projection)

    def encoders(self) -> dict[str, nn.Module]:
        return {self.config.backbone: self.backbone}

    def loss(self, batch: Batch) -> Losses:
        z = self.head(self.backbone(batch.images)).float()
        return Losses(contrast=contrast(*z.chunk(2), temperature=self.config.temperature))


def contrast(z_0: Tensor, z_1: Tensor, *, temperature: float) -> Tensor:
    """NT-Xent loss of (B, D) embeddings of two views; the other images of all processes are negatives."""
    z_0, z_1 = from_all_processes(F.normalize(z_0, dim=1)), from_all_processes(F.normalize(z_1, dim=1))
    z = torch.cat([z_0, z_1])
    diagonal = torch.eye(len(z), dtype=torch.bool, device=z.device)
    similarity = (z @ z.T / temperature).masked_fill(diagonal, -torch.inf)
    other_view = torch.arange(len(z), device=z.device).roll(len(z_0))
    return F.cross_entropy(similarity, other_view)
