"""PiCIE, segmentation without masks (Cho et al. 2021; S4MI section 4.2.2), and its baseline MDC.

    z_1 = f(G(P_1(x))),   z_2 = G(f(P_2(x)))    pixel features of unit length; P jitters the colours, G crops and flips
    μ_v, y_v = k-means of z_v                   cosine, over all images, before each epoch and for each view v
    L(z, y, μ) = -w_y log softmax_k <z, μ_k>    at the label y; w gives every cluster the same say
    within = ½ [L(z_1, y_1, μ_1) + L(z_2, y_2, μ_2)]
    across = ½ [L(z_1, y_2, μ_2) + L(z_2, y_1, μ_1)]
    loss   = ½ (within + across)

A pixel shall be in its cluster whatever its colours are jittered to, and wherever it is moved to. The centroids are
classifiers that stand still; the features move. MDC is DeepCluster (Caron et al. 2018) of pixels: one view, and
L(z_1, y_1, μ_1) alone.

Clusters have no names. Validation masks match them to classes, for scoring; without any masks they are answers by
themselves, until someone looks at them and names them (`classes`).
"""

import math
from abc import ABC
from typing import Any, ClassVar, Literal, final

import torch
from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator
from torch import Tensor

from s4mi.contract import (
    Batch,
    Batches,
    CollapseError,
    Losses,
    MultiCrop,
    PretrainedConfig,
    Segmenter,
    Task,
    TrainState,
    ViewSpec,
)
from s4mi.maths.distributed import sum_over_processes
from s4mi.maths.geometry import warp
from s4mi.maths.kmeans import MOST_CLUSTERS, TooFewPointsError
from s4mi.maths.kmeans_steps import counted
from s4mi.maths.losses import cross_entropy
from s4mi.maths.pixel_clusters import PixelClusters, PixelLabels
from s4mi.nets.cluster_classifier import ClusterClassifier
from s4mi.nets.fpn import FPN
from s4mi.nets.segmentation import say_padding
from s4mi.nets.weights import NONE, start_weights
from s4mi.records import TaskKind

MOST_OF_ALL = 0.99
"""A cluster with more than this share of the pixels leaves nothing to tell apart."""
PAPER_JITTER = {"hue": 0.1, "grey": 0.2, "blur": 0.5, "blur_sigma": (0.1, 2.0)}
"""What Cho et al. do to colours, beyond the default."""
APART = 1e-4
"""Centroids of which no two are further apart, in cosine distance, are one."""


class ClusteringConfig(PretrainedConfig, ABC):
    """What PiCIE and MDC have in common.

    Medical images of one kind differ in their light and in the patient's colours as a whole, and two clusters are then
    two kinds of images rather than of pixels. By default the mean over an image is therefore taken from its features,
    and colours are jittered less: here they tell what a pixel is. The paper's recipe does neither. A setting that is
    given goes before its recipe's.
    """

    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    unlabelled: ClassVar[bool] = True
    hint: ClassVar[str] = (
        "start from weights that know images already (method.pretrained=RUN of DINO or CASS, or method.weights), "
        "lower optim.lr, or set another method.clusters"
    )
    default_views: ClassVar[ViewSpec] = ViewSpec(
        rotation=0.0, scale=(0.5, 1.0), aspect=(3 / 4, 4 / 3), brightness=0.3, contrast=0.3, saturation=0.3, hue=0.02,
        jitter=0.8,
    )  # fmt: skip
    default_optim: ClassVar[dict[str, Any]] = {"name": "sgd", "lr": 1e-4, "schedule": "step"}

    backbone: str = Field("resnet34", description="of the feature pyramid: any CNN of timm, or tiny_resnet")
    width: PositiveInt = Field(128, description="channels of a pixel's features")
    clusters: PositiveInt | None = Field(
        None, ge=2, le=MOST_CLUSTERS, description="none: as many as the masks have classes, or 2 where there are none"
    )
    classes: dict[int, str] | None = Field(
        None, description="what each cluster is, once someone has looked at them; none: as validation masks say"
    )
    recipe: Literal["s4mi", "paper"] = Field("s4mi", description="what centred and views are unless given")
    centred: bool = Field(True, description="take the mean over an image from its features; paper: not")
    balance: bool = Field(True, description="let every cluster count alike in the loss, whatever its size")
    kept_batches: PositiveInt = Field(16, description="so many batches of an epoch does k-means look at")
    restarts: int = Field(2, ge=0, description="times that training begins again after a collapse, before it stops")

    @model_validator(mode="before")
    @classmethod
    def _from_the_recipe(cls, given: Any) -> Any:
        """The paper's settings lie below those that are given."""
        if not isinstance(given, dict) or given.get("recipe") != "paper":
            return given
        views = given.get("views", {})
        return {"centred": False, **given, "views": {**PAPER_JITTER, **views} if isinstance(views, dict) else views}

    @field_validator("classes")
    @classmethod
    def _named(cls, classes: dict[int, str] | None, info: ValidationInfo) -> dict[int, str] | None:
        if classes is not None and sorted(classes) != list(range(len(classes))):
            raise ValueError(f"{sorted(classes)} are not all clusters; name each from 0 on, several may share a name")
        if classes is not None and len({*classes.values()}) < 2:
            raise ValueError("all clusters are of one class; name at least two, such as {0: background, 1: lesion}")
        # Without `clusters` there are two, or as many as masks have classes, which is not known here.
        count = info.data.get("clusters") or 2
        if classes is not None and len(classes) != count:
            rest = "" if info.data.get("clusters") else "; where masks have more classes, set method.clusters too"
            raise ValueError(f"names {len(classes)} clusters, but there are {count}{rest}")
        return classes

    @property
    def own_classes(self) -> tuple[str, ...]:
        if self.classes is None:
            return tuple(f"cluster {number}" for number in range(self.clusters or 2))
        names = dict.fromkeys(self.classes[number] for number in sorted(self.classes))
        return tuple(sorted(names, key=lambda name: name != "background"))  # which is the first class everywhere

    @property
    def named(self) -> bool:
        return self.classes is not None

    @property
    def restarts_allowed(self) -> int:
        return self.restarts

    def technique(self, pretraining: str | None = None) -> str:
        start = pretraining or ("scratch" if self.weights == NONE else None)
        name = super().technique(start)
        return name if self.clusters is None else f"{name}, {self.clusters} clusters"


class PicieConfig(ClusteringConfig):
    """Settings of PiCIE."""

    summary: ClassVar[str] = "segment without any mask: cluster the pixels, alike in all colours and places"
    paper: ClassVar[str] = (
        "Cho et al. 2021, PiCIE: Unsupervised Semantic Segmentation using Invariance and Equivariance"
    )

    name: Literal["picie"] = "picie"

    def crops(self, image_size: int) -> MultiCrop:
        in_place = {"rotation": 0.0, "flip": False, "scale": (1.0, 1.0), "translation": 0.0, "aspect": (1.0, 1.0)}
        return MultiCrop((self.views, self.views.model_copy(update=in_place)))

    def build(self, task: Task) -> "PixelClustering":
        return PixelClustering(self, task)


class MdcConfig(ClusteringConfig):
    """Settings of modified DeepCluster."""

    summary: ClassVar[str] = "segment without any mask: cluster the pixels (the baseline of PiCIE)"
    paper: ClassVar[str] = "Caron et al. 2018, Deep Clustering; modified to pixels by Cho et al. 2021 (MDC)"

    name: Literal["mdc"] = "mdc"

    def build(self, task: Task) -> "PixelClustering":
        return PixelClustering(self, task)


@final
class PixelClustering(Segmenter):
    """PiCIE with two views of each image in a batch, MDC with one."""

    def __init__(self, config: ClusteringConfig, task: Task) -> None:
        super().__init__()
        self.config = config
        weights = start_weights(config.weights, pretrained=config.pretrained, name=config.backbone)
        net = FPN(config.backbone, width=config.width, image_size=task.image_size, weights=weights)
        say_padding(task.image_size, FPN.stride)
        self.views = len(config.crops(task.image_size).images)
        count = config.clusters or len(task.classes)
        self.answer = ClusterClassifier(
            net,
            count=count,
            views=self.views,
            centred=config.centred,
            classes=task.classes,
            named=config.classes,
        )
        self.found: tuple[PixelLabels, ...] = ()
        self.moment = TrainState(step=0, per_epoch=1, total=1)
        self.answered: Tensor | None = None
        self.largest_answer = math.nan

    @property
    def matching(self) -> ClusterClassifier:
        return self.answer

    def logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.answer(images)
        return logits

    @torch.no_grad()
    def before_epoch(self, batches: Batches) -> None:
        """Cluster the pixels of the epoch's own views; their labels stay in memory, a byte each.

        Batch normalisation sees each batch as training will, and its running averages follow the weights.
        """
        draws = _generator(self.answer.centroids.device)
        count, kept = self.answer.count, self.config.kept_batches
        views = [PixelClusters(count, generator=draws, kept_batches=kept) for _ in range(self.views)]
        try:
            for batch in batches:
                for view, z in zip(views, self.features(batch), strict=True):
                    view.see(z)
            self.found = tuple(view.finish() for view in views)
        except TooFewPointsError as error:
            raise CollapseError(f"the features of all pixels are the same ({error})") from error
        for number, found in enumerate(self.found):
            self._check(found)
            self.answer.centroids[number] = found.centroids

    def before_step(self, moment: TrainState) -> None:
        self.moment = moment

    def after_step(self, moment: TrainState) -> None:
        """What the network itself says at the end of an epoch, whatever its labels were, must not be one cluster."""
        if moment.step % moment.per_epoch or self.answered is None:
            return
        answered, self.answered = sum_over_processes(self.answered), None
        self.largest_answer = float(answered.max() / answered.sum())
        if self.largest_answer > MOST_OF_ALL:
            raise CollapseError(f"{self.largest_answer:.2%} of the pixels are answered with one cluster")

    def features(self, batch: Batch) -> tuple[Tensor, ...]:
        """(B, D, h, w) of each view, in the geometry of the first, of unit length at every pixel."""
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
        """L(z, y, μ) with labels and centroids of a view."""
        found = self.found[view]
        logits = torch.einsum("bdhw,kd->bkhw", z, found.centroids)
        step = self.moment.step % self.moment.per_epoch
        if view == 0 and 2 * (step + 1) > self.moment.per_epoch:
            self._count(logits)
        weight = None
        if self.config.balance:
            weight = torch.where(found.counts > 0, found.counts.sum() / found.counts.clamp_min(1), 0)
        return cross_entropy(logits, found.labels[step].long(), weight)

    @torch.no_grad()
    def _count(self, logits: Tensor) -> None:
        """How often each cluster is answered in the second half of an epoch."""
        counts = counted(logits.argmax(dim=1), self.answer.count)
        self.answered = counts if self.answered is None else self.answered + counts

    def signals(self) -> dict[str, float]:
        if not self.found:
            return {}
        return {
            "largest_cluster": max(found.largest for found in self.found),
            "largest_answer": self.largest_answer,
            "empty_clusters": float(max(found.empty for found in self.found)),
            "centroid_distance": min(found.distance for found in self.found),
        }

    def _check(self, found: PixelLabels) -> None:
        if found.largest > MOST_OF_ALL:
            raise CollapseError(f"one cluster holds {found.largest:.2%} of the pixels")
        if len(found.counts) - found.empty < min(len(found.counts), self.answer.classes):
            raise CollapseError(f"{found.empty} of {len(found.counts)} clusters are empty")
        if found.distance < APART:
            raise CollapseError(f"no two centroids are further apart than {found.distance:.1e} in cosine distance")


def _generator(device: torch.device) -> torch.Generator:
    """Of the device, so that its draws need not be brought there; seeded from the global one."""
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, ())))
