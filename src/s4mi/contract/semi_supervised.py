"""Methods that learn from images with masks and from images without, in one batch."""

import math
from dataclasses import dataclass
from typing import ClassVar, final

from pydantic import Field, PositiveInt

from s4mi.contract.batch import TrainState
from s4mi.contract.method import Segmenter
from s4mi.contract.settings import MethodConfig, WeightRule
from s4mi.contract.views import ViewSpec
from s4mi.errors import S4miError
from s4mi.records import TaskKind


def sigmoid_ramp(share: float) -> float:
    """exp(-5 (1 - s)²) for s in 0..1, from 0.007 to 1: the rise of Laine & Aila (2017)."""
    return math.exp(-5 * (1 - share) ** 2)


@dataclass(frozen=True)
class BatchComposition:
    """What a batch is made of where only some of the images are annotated.

    Attributes:
        labelled: annotated images in a batch. unlabelled: the others.
        strong: how each further view of the unlabelled images is coloured; its geometry is that of the first view.
    """

    labelled: int
    unlabelled: int
    strong: tuple[ViewSpec, ...] = ()


class SemiSupervisedConfig(MethodConfig):
    """What all methods have in common that learn from images with masks and from images without, in one batch.

    What they learn from the images without masks has a weight, which can rise from almost nothing (Laine & Aila 2017).
    """

    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    default_views: ClassVar[ViewSpec] = ViewSpec()

    unlabelled_weight: float = Field(1.0, ge=0, description="of what is learnt from images without masks")
    ramp_up: float = Field(0.0, ge=0, le=1, description="share of training over which that weight rises; 0: at once")
    labelled_share: float = Field(
        0.5, gt=0, lt=1, description="of a batch that has masks; all but one image where every image has one"
    )
    labelled_per_batch: PositiveInt | None = Field(
        None, description="images with masks in a batch, whatever that share"
    )
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="of the cross-entropy: none, inverse or median frequency of labelled training pixels, or numbers",
    )

    def strength(self, progress: float) -> float:
        """The weight of what is learnt without masks when `progress`, 0 to 1, of training is over."""
        risen = sigmoid_ramp(progress / self.ramp_up) if progress < self.ramp_up else 1.0
        return self.unlabelled_weight * risen

    def mixture(self, batch_size: int, *, unlabelled: int) -> BatchComposition:
        """What batches of `batch_size` are made of where there are `unlabelled` images without masks.

        Raises:
            S4miError: no image without a mask would be in a batch, or none with one.
        """
        if batch_size < 2:
            raise S4miError(
                f"batch_size {batch_size} has no room for images with and without a mask; raise it to at least 2"
            )
        share = min(max(round(self.labelled_share * batch_size), 1), batch_size - 1)
        labelled = self.labelled_per_batch or (share if unlabelled else batch_size - 1)
        if labelled >= batch_size:
            raise S4miError(
                f"method.labelled_per_batch {labelled} leaves no room for an image without a mask in a batch of "
                f"{batch_size}; lower it, or raise batch_size"
            )
        return BatchComposition(labelled, batch_size - labelled, self.strong_views)

    @property
    def strong_views(self) -> tuple[ViewSpec, ...]:
        """How the further views of the unlabelled images are coloured, if the method wants such."""
        return ()


class NetworkConfig(SemiSupervisedConfig):
    """What the methods have in common whose networks, one or two, are all of one kind."""

    network: str = Field("small_unet", description="small_unet, swin_unet, an encoder, or ARCHITECTURE/ENCODER")
    weights: str = Field("none", description="of its encoder: imagenet, none, or the path of a weight file")


class SemiSupervised(Segmenter):
    """A segmenter that learns from images with masks and from images without; it knows where training stands."""

    config: SemiSupervisedConfig
    moment = TrainState(step=1, per_epoch=1, total=1)
    """Until training says otherwise, its end."""

    @final
    def before_step(self, moment: TrainState) -> None:
        self.moment = moment

    @property
    def strength(self) -> float:
        """The weight, now, of what is learnt without masks."""
        return self.config.strength(self.moment.progress)
