"""UA-MT: a mean teacher that teaches only where it is certain (Yu et al. 2019; after Tarvainen & Valpola 2017).

    q_t = softmax(teacher(x_u + noise_t)), t = 1..T        dropout on: each pass sees a little differently
    q = mean of q_t, u = -Σ_k q log q                      what the teacher says, and how uncertain it is
    consistent   mean of (softmax(p_u) - q)² where u < (3/4 + ramp/4) log K
    supervised   ½ [Dice(p, y) + CE(p, y)]

The teacher is the moving average of the student's weights. The threshold rises to log K, the greatest uncertainty there
is, while training goes on.
"""

import math
from copy import deepcopy
from typing import ClassVar, Literal, final

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from s4mi.contract import Batch, Losses, NetworkConfig, SemiSupervised, Task, TrainState, sigmoid_ramp
from s4mi.maths.distributed import drawn_for_all, ratio_over_images
from s4mi.maths.ema import ema_update
from s4mi.maths.losses import class_weights, dice_cross_entropy
from s4mi.maths.pseudo_labels import entropy
from s4mi.nets.ensemble import NetworkEnsemble
from s4mi.nets.networks import network_for, network_label


class MeanTeacherConfig(NetworkConfig):
    """Settings of the uncertainty-aware mean teacher; the defaults are the paper's.

    Networks without dropout, which most encoders are, differ between passes by the noise alone.
    """

    summary: ClassVar[str] = "train a U-Net that agrees with its own moving average wherever that one is certain"
    paper: ClassVar[str] = "Yu et al. 2019, Uncertainty-Aware Self-Ensembling Model (UA-MT)"

    name: Literal["mean_teacher"] = "mean_teacher"
    unlabelled_weight: float = Field(0.1, ge=0, description="of what is learnt from images without masks")
    ramp_up: float = Field(1.0, ge=0, le=1, description="share of training over which that weight rises; 0: at once")
    momentum: float = Field(0.99, ge=0, lt=1, description="of the teacher; less in the first steps")
    passes: PositiveInt = Field(8, description="of the teacher over each image")
    noise: float = Field(0.1, ge=0, description="standard deviation of what is added to the teacher's images")

    @property
    def backbone_name(self) -> str:
        return network_label(self.network)

    def build(self, task: Task) -> "MeanTeacher":
        return MeanTeacher(self, task)


@final
class MeanTeacher(SemiSupervised):
    """A student, and a teacher that is its moving average; either answers."""

    config: MeanTeacherConfig
    weight: Tensor | None

    def __init__(self, config: MeanTeacherConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        student = network_for(task, config.network, config.weights)
        teacher = deepcopy(student).requires_grad_(False)
        self.committee = NetworkEnsemble({"student": student, "teacher": teacher}, average=False, default="teacher")
        self.register_buffer("weight", class_weights(task.counts, config.class_weights), persistent=False)
        self.most = math.log(len(task.classes))  # the greatest entropy there is

    @property
    def members(self) -> NetworkEnsemble:
        return self.committee

    def logits(self, images: Tensor) -> Tensor:
        z: Tensor = self.committee(images)
        return z

    @property
    def threshold(self) -> float:
        """The uncertainty, now, from which on the teacher does not teach."""
        return (0.75 + 0.25 * sigmoid_ramp(self.state.progress)) * self.most

    def loss(self, batch: Batch) -> Losses:
        x, x_u, y = batch.images, batch.known_unlabelled, batch.known_masks
        p, p_u = self.committee["student"](torch.cat([x, x_u])).tensor_split([len(y)])
        q = self._teach(x_u)
        certain = (entropy(q) < self.threshold)[:, None]  # (U, 1, H, W)
        difference = (p_u.softmax(dim=1) - q).square() * certain
        consistent = ratio_over_images(difference.sum(), certain.sum() * q.shape[1], least=1)
        return Losses(supervised=dice_cross_entropy(p, y, self.weight), consistent=self.strength * consistent)

    def after_step(self, state: TrainState) -> None:
        momentum = min(1 - 1 / (state.step + 1), self.config.momentum)
        student, teacher = self.committee["student"], self.committee["teacher"]
        ema_update(teacher.parameters(), student.parameters(), momentum=momentum)

    @torch.no_grad()
    def _teach(self, x_u: Tensor) -> Tensor:
        """(U, K, H, W) the mean of the teacher's answers over all passes, in one batch."""
        passes, most = self.config.passes, 2 * self.config.noise
        noise = (self.config.noise * standard_noise(x_u, passes)).clamp_(-most, most)
        q: Tensor = self.committee["teacher"](x_u.repeat(passes, 1, 1, 1) + noise).float().softmax(dim=1)
        return torch.stack(q.chunk(passes)).mean(dim=0)


def standard_noise(images: Tensor, passes: int) -> Tensor:
    """(T·U, 3, H, W) for each of T passes over (U, 3, H, W) images, pass after pass."""

    def draw(count: int) -> Tensor:
        shape = (passes, count, *images.shape[1:])
        return torch.randn(shape, dtype=images.dtype, device=images.device).transpose(0, 1)

    return drawn_for_all(len(images), draw).transpose(0, 1).flatten(0, 1)
