"""Settings of the methods that learn from images with and without masks in one batch."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, PositiveInt

from s4mi.contract.settings import NetworkKind, Recipe, WeightRule
from s4mi.contract.tuning import TuningConfig
from s4mi.contract.views import PAPER_SEGMENTATION_VIEWS, STRONG_SEGMENTATION_VIEWS, ViewSpec
from s4mi.errors import S4miError
from s4mi.records import TaskKind


def sigmoid_ramp(share: float) -> float:
    """Return exp(-5 (1 - s)²) for a share s in [0, 1], from 0.007 to 1: the ramp-up of Laine & Aila (2017)."""
    return math.exp(-5 * (1 - share) ** 2)


@dataclass(frozen=True)
class BatchComposition:
    """Composition of a batch if only some of the images are annotated.

    Attributes:
        labelled: number of annotated images. unlabelled: number of other images.
        strong: colour augmentation of each further view of the unlabelled images; its geometry is that of the first.
            Where there are any, the first, whose prediction is their target, keeps the colours of the image.
    """

    labelled: int
    unlabelled: int
    strong: tuple[ViewSpec, ...] = ()


class SemiSupervisedConfig(TuningConfig):
    """Settings shared by the methods that learn from images with and without masks in one batch.

    The loss on images without masks has a weight, which can ramp up from almost zero (Laine & Aila 2017).
    """

    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    default_views: ClassVar[ViewSpec] = STRONG_SEGMENTATION_VIEWS
    paper_settings: ClassVar[dict[str, Any]] = {"views": PAPER_SEGMENTATION_VIEWS.model_dump()}

    recipe: Recipe = Field("strong", description="Source of the defaults of views: s4mi's own, or S4MI's paper")
    unlabelled_weight: float = Field(1.0, ge=0, description="Weight of the loss on images without masks")
    ramp_up: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of training over which method.unlabelled_weight ramps up; 0: full weight from the start",
    )
    labelled_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Share of images with masks in a batch; if every training image has a mask, all but one image",
    )
    labelled_per_batch: PositiveInt | None = Field(
        None, description="Number of images with masks in a batch (default: by method.labelled_share)"
    )
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the cross-entropy: none, inverse or median (frequency of labelled training "
        "pixels), or one number per class",
    )

    def technique(self, pretraining: str | None = None) -> str:
        return ", ".join(filter(None, (super().technique(pretraining), self.segmenter_label)))

    def strength(self, progress: float) -> float:
        """Return the weight of the loss on images without masks at `progress`, the completed share of training."""
        ramp = sigmoid_ramp(progress / self.ramp_up) if progress < self.ramp_up else 1.0
        return self.unlabelled_weight * ramp

    def batch_composition(self, batch_size: int, *, unlabelled: int) -> BatchComposition:
        """Return the composition of batches, given the number of training images without masks.

        Raises:
            S4miError: a batch would have no images with masks, or none without.
        """
        if batch_size < 2:
            raise S4miError(f"batch_size must be at least 2, for images with and without masks (given {batch_size})")
        share = min(max(round(self.labelled_share * batch_size), 1), batch_size - 1)
        labelled = self.labelled_per_batch or (share if unlabelled else batch_size - 1)
        if labelled >= batch_size:
            raise S4miError(
                f"method.labelled_per_batch must be below batch_size {batch_size}, to leave room for images without "
                f"masks (given {labelled})"
            )
        return BatchComposition(labelled, batch_size - labelled, self.strong_views)

    @property
    def strong_views(self) -> tuple[ViewSpec, ...]:
        """Colour augmentation of each further view of the unlabelled images; empty by default."""
        return ()


class NetworkConfig(SemiSupervisedConfig):
    """Settings shared by the methods with one or several networks of the same architecture."""

    networks: ClassVar[dict[str, NetworkKind]] = {"network": "segmenter"}

    network: str = Field(
        "small_unet",
        description="Network architecture: small_unet, swin_unet, an encoder, ARCHITECTURE/ENCODER, dpt/VIT, "
        "frozen/NAME, or auto (a U-Net on the best encoder with weights at hand)",
    )
    weights: str = Field(
        "none",
        description="Initial weights of the encoder: imagenet, auto (the best at hand), none (random), or the path of "
        "a weight file",
    )
