"""UA-MT: uncertainty-aware mean teacher (Yu et al. 2019; after Tarvainen & Valpola 2017).

    x, y         (B, 3, H, W) labelled images and their (B, H, W) masks; x_u (U, 3, H, W) unlabelled images
    p, p_u       student(x), student(x_u)                      (B, K, H, W), (U, K, H, W) logits
    q            1/T Σ_t softmax(teacher(x_u + ε_t))          T passes with dropout and noise ε_t ~ N(0, σ²) within ±2σ
    u            -Σ_k q_k log q_k                              (U, H, W) uncertainty of the teacher, in nats
    supervised   ½ [Dice(p, y) + CE(p, y)]
    consistent   λ mean of (softmax(p_u) - q)² over pixels with u < (3/4 + r/4) log K

The teacher's weights are the exponential moving average of the student's. r ramps from 0 to 1 over training, so that
the threshold rises to log K, the maximum of u.
"""

import math
from copy import deepcopy
from typing import final

import torch
from torch import Tensor

from s4mi.contract import Batch, Losses, SemiSupervised, Task, TrainState, sigmoid_ramp
from s4mi.maths.distributed import draw_for_batch, ratio_over_images
from s4mi.maths.ema import ema_update
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.maths.pseudo_labels import entropy
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for
from s4mi.nets.tuned_networks import tune_networks
from s4mi.settings.segmentation.mean_teacher import MeanTeacherConfig


@final
class MeanTeacher(SemiSupervised):
    """A student and its exponential moving average, the teacher; validation chooses one for prediction."""

    config: MeanTeacherConfig
    weight: Tensor | None

    def __init__(self, config: MeanTeacherConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        student = network_for(task, config.network, config.weights)
        self.tunings = tune_networks({config.network: student}, config, task)
        teacher = deepcopy(student).requires_grad_(False)
        self.committee = NetworkEnsemble({"student": student, "teacher": teacher}, average=False, default="teacher")
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)
        self.max_entropy = math.log(len(task.classes))

    @property
    def members(self) -> NetworkEnsemble:
        return self.committee

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.committee(images)
        return z

    @property
    def threshold(self) -> float:
        """Entropy in nats, at this step, from which on a pixel of the teacher is ignored."""
        return (0.75 + 0.25 * sigmoid_ramp(self.state.progress)) * self.max_entropy

    def loss(self, batch: Batch) -> Losses:
        x, x_u, y = batch.images, batch.known_unlabelled, batch.known_masks
        p, p_u = self.committee["student"](torch.cat([x, x_u])).tensor_split([len(y)])
        q = self._teacher_mean(x_u)
        certain = (entropy(q) < self.threshold)[:, None]  # (U, 1, H, W)
        squared = (p_u.softmax(dim=1) - q).square() * certain
        consistent = ratio_over_images(squared.sum(), certain.sum() * q.shape[1], least=1)
        return Losses(supervised=dice_cross_entropy(p, y, self.weight), consistent=self.strength * consistent)

    def after_step(self, state: TrainState) -> None:
        momentum = min(1 - 1 / (state.step + 1), self.config.momentum)
        student, teacher = self.committee["student"], self.committee["teacher"]
        ema_update(teacher.parameters(), student.parameters(), momentum=momentum)

    @torch.no_grad()
    def _teacher_mean(self, x_u: Tensor) -> Tensor:
        """(U, 3, H, W) images → (U, K, H, W) mean of the teacher's softmax over all passes, computed in one batch."""
        passes, limit = self.config.passes, 2 * self.config.noise
        noise = (self.config.noise * standard_noise(x_u, passes)).clamp_(-limit, limit)
        q: Tensor = self.committee["teacher"](x_u.repeat(passes, 1, 1, 1) + noise).float().softmax(dim=1)
        return torch.stack(q.chunk(passes)).mean(dim=0)


def standard_noise(images: Tensor, passes: int) -> Tensor:
    """(T·U, 3, H, W) standard normal noise for T passes over (U, 3, H, W) images, pass after pass."""

    def draw(count: int) -> Tensor:
        shape = (passes, count, *images.shape[1:])
        return torch.randn(shape, dtype=images.dtype, device=images.device).transpose(0, 1)

    return draw_for_batch(len(images), draw).transpose(0, 1).flatten(0, 1)
