"""DINO: self-distillation with no labels (Caron et al. 2021; S4MI section 3.1).

    g       head(backbone(crop))                    (B, K) logits, one per prototype
    P_s     softmax(g_s / τ_s)                      student, on the global and local crops
    P_t     softmax((g_t - c) / τ_t)                teacher, on the global crops: centred by c, sharpened by a small τ_t
    loss    mean of -Σ_k P_t log P_s                over images and all pairs of different crops
    θ_t   ← m θ_t + (1 - m) θ_s                     exponential moving average of weights; m rises to 1 along a cosine
    c     ← m_c c + (1 - m_c) mean(g_t)

Crops of one size share one forward pass. Both global crops use the same augmentation, whose probabilities of blur and
solarisation are the means of the paper's two global augmentations.
"""

import math
from copy import deepcopy
from typing import final

import torch
from torch import Tensor, nn

from s4mi.contract import Batch, Losses, Pretrainer, Task, TrainState
from s4mi.maths.distributed import mean_over_images, sum_over_processes
from s4mi.maths.ema import cosine_momentum, ema_update
from s4mi.nets.backbone import Backbone
from s4mi.nets.heads import PrototypeHead
from s4mi.settings.pretraining.dino import DinoConfig


class DinoNetwork(nn.Module):
    """A backbone and its head: (B, 3, H, W) → (B, K)."""

    def __init__(self, backbone: Backbone, head: PrototypeHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, images: Tensor) -> Tensor:
        g: Tensor = self.head(self.backbone(images))
        return g


@final
class Dino(Pretrainer):
    """A student and its exponential moving average, the teacher."""

    centre: Tensor

    def __init__(self, config: DinoConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        backbone = Backbone(
            config.backbone, image_size=task.image_size, weights=config.weights, any_size=config.local_crops > 0
        )
        if config.local_crops:
            backbone.check_size(config.local_side(task.image_size), setting="method.local_size")
        head = PrototypeHead(
            backbone.features,
            hidden=config.hidden,
            bottleneck=config.bottleneck,
            prototypes=config.prototypes,
            batch_norm=config.batch_norm,
        )
        self.student = DinoNetwork(backbone, head)
        self.teacher = deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(config.prototypes))
        self.temperature = config.temperature(0)
        self._entropies: list[Tensor] = []

    def encoders(self) -> dict[str, nn.Module]:
        return {self.config.backbone: self.teacher.backbone}

    def before_step(self, state: TrainState) -> None:
        self.temperature = self.config.temperature(int(state.epoch))

    def loss(self, batch: Batch) -> Losses:
        views, count = batch.images, len(batch.rows)
        with torch.no_grad():
            g_t = self.teacher(views).float().unflatten(0, (-1, count))  # (2, B, K)
            p_t = ((g_t - self.centre) / self.temperature).softmax(dim=-1)
            self._record_entropy(p_t)
        g_s = self.student(views)
        if batch.local is not None:
            g_s = torch.cat([g_s, self.student(batch.local)])
        log_p_s = (g_s.float() / self.config.student_temperature).log_softmax(dim=-1).unflatten(0, (-1, count))
        loss = self_distillation(p_t, log_p_s)
        self._update_centre(g_t)
        return Losses(distillation=loss)

    def after_backward(self, state: TrainState) -> None:
        if state.epoch < self.config.frozen_epochs:
            self.student.head.prototypes.weight.grad = None

    def after_step(self, state: TrainState) -> None:
        momentum = cosine_momentum(self.config.momentum, state.progress)
        ema_update(self.teacher.parameters(), self.student.parameters(), momentum=momentum)

    def signals(self) -> dict[str, float]:
        """Entropy of the teacher's output relative to log K: 1 means uniform, 0 a single prototype for each image."""
        if not self._entropies:
            return {}
        entropy, self._entropies = torch.stack(self._entropies).mean().item(), []
        return {"teacher_entropy": entropy / math.log(self.config.prototypes)}

    def _record_entropy(self, p_t: Tensor) -> None:
        self._entropies.append(mean_over_images(torch.special.entr(p_t).sum(dim=-1)))

    @torch.no_grad()
    def _update_centre(self, g_t: Tensor) -> None:
        count = torch.full_like(g_t[0, 0, :1], len(g_t) * g_t.shape[1])
        sums = sum_over_processes(torch.cat([g_t.sum(dim=(0, 1)), count]))
        self.centre.lerp_(sums[:-1] / sums[-1], 1 - self.config.centre_momentum)


def self_distillation(p_t: Tensor, log_p_s: Tensor) -> Tensor:
    """Mean of -Σ_k P_t log P_s over images and over pairs of different crops.

    Args:
        p_t: (T, B, K) probabilities of the teacher on T crops.
        log_p_s: (S, B, K) log-probabilities of the student on S crops, the first T of which are the teacher's.
    """
    t, s = len(p_t), len(log_p_s)
    all_pairs = (p_t.sum(dim=0) * log_p_s.sum(dim=0)).sum(dim=-1)  # Σ_t Σ_s P_t log P_s = (Σ_t P_t) (Σ_s log P_s)
    same_crop = (p_t * log_p_s[:t]).sum(dim=(0, -1))
    return -mean_over_images(all_pairs - same_crop) / (t * s - min(t, s))
