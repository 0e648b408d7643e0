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
from typing import ClassVar, Literal, final

import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor, nn

from s4mi.contract import Batch, Losses, MethodConfig, MultiCrop, Pretrainer, Task, TrainState, ViewSpec
from s4mi.maths.distributed import mean_over_images, sum_over_processes
from s4mi.maths.ema import cosine_momentum, ema_update
from s4mi.nets.backbone import Backbone
from s4mi.nets.heads import PrototypeHead
from s4mi.nets.weights import IMAGENET
from s4mi.records import TaskKind


class DinoConfig(MethodConfig):
    """Settings of DINO; the defaults are the paper's, except for changes that small data sets and random weights need.

    These are 4,096 prototypes instead of 65,536, and batch normalisation in the head: without it, features of similar
    images leave the head nearly parallel, and the teacher's output is the same for all images (docs/decisions/0010).
    """

    summary: ClassVar[str] = (
        "Pre-train a backbone without labels: a student predicts its teacher's output for another crop"
    )
    paper: ClassVar[str] = "Caron et al. 2021, Emerging Properties in Self-Supervised Vision Transformers (DINO)"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hints: ClassVar[tuple[str, ...]] = (
        "lower method.teacher_temperature or optim.lr", "set method.batch_norm=true",
        "start from method.weights=imagenet",
    )  # fmt: skip
    default_views: ClassVar[ViewSpec] = ViewSpec(
        scale=(0.4, 1.0), aspect=(3 / 4, 4 / 3), brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, jitter=0.8,
        grey=0.2, blur=0.55, blur_sigma=(0.1, 2.0), solarise=0.1,
    )  # fmt: skip

    name: Literal["dino"] = "dino"
    backbone: str = Field("resnet50", description="Backbone: any timm name, or tiny_resnet, tiny_vit, tiny_swin")
    weights: str = Field(IMAGENET, description="Initial weights: imagenet, auto, none, or the path of a weight file")
    local_crops: int = Field(6, ge=0, description="Number of local crops per image, besides the two global crops")
    local_size: PositiveInt | None = Field(
        None,
        description="Side of the local crops in pixels; none: 3/7 of the image size (paper: 96 of 224), rounded to a "
        "multiple of 16",
    )
    local_scale: tuple[float, float] = Field(
        (0.05, 0.4), description="Minimum and maximum area of the local crops as a share of the image"
    )
    hidden: PositiveInt = Field(2048, description="Width of the hidden layers of the head")
    bottleneck: PositiveInt = Field(256, description="Width of the head's bottleneck, the layer before the prototypes")
    batch_norm: bool = Field(True, description="Use batch normalisation in the head; paper: false")
    prototypes: PositiveInt = Field(
        4096, description="Number of prototypes, the outputs of the head; at most about the number of images"
    )
    student_temperature: float = Field(0.1, gt=0, description="Temperature of the student's softmax")
    teacher_temperature: float = Field(
        0.04, gt=0, description="Temperature of the teacher's softmax after warm-up; lower is sharper"
    )
    first_teacher_temperature: float = Field(
        0.04, gt=0, description="Temperature of the teacher's softmax in the first epoch, where warm-up starts"
    )
    warmup_epochs: int = Field(
        30, ge=0, description="Number of epochs of linear warm-up from first_teacher_temperature to teacher_temperature"
    )
    momentum: float = Field(
        0.996, ge=0, le=1, description="Initial momentum of the teacher's exponential moving average; it rises to 1"
    )
    centre_momentum: float = Field(
        0.9, ge=0, lt=1, description="Momentum of the moving average of the teacher's centre"
    )
    frozen_epochs: int = Field(
        1, ge=0, description="Number of epochs at the start in which the prototypes are not updated"
    )

    @field_validator("local_scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"{list(scale)} is not a range of areas; pass two numbers, 0 < minimum <= maximum <= 1")
        return scale

    @property
    def backbone_name(self) -> str:
        return self.backbone

    def local_side(self, image_size: int) -> int:
        """Side of the local crops in pixels."""
        return self.local_size or max(16, 16 * round(image_size * 3 / 7 / 16))

    def crops(self, image_size: int) -> MultiCrop:
        local = self.views.model_copy(update={"scale": self.local_scale})
        return MultiCrop((self.views,) * 2, (local,) * self.local_crops, self.local_side(image_size))

    def temperature(self, epoch: int) -> float:
        """Temperature of the teacher in an epoch, counted from 0."""
        if epoch >= self.warmup_epochs:
            return self.teacher_temperature
        progress = epoch / max(1, self.warmup_epochs - 1)
        return self.first_teacher_temperature + progress * (self.teacher_temperature - self.first_teacher_temperature)

    def build(self, task: Task) -> "Dino":
        return Dino(self, task)


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
