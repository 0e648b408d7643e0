"""The settings of a method, and how they become one."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator

from s4mi.contract.batch import Task
from s4mi.contract.method import Method
from s4mi.contract.views import MultiCrop, ViewSpec
from s4mi.errors import S4miError
from s4mi.records import TaskKind

WeightRule = Literal["none", "inverse", "median"]
"""How the cross-entropy weighs the classes: see `maths.losses.class_weights`."""


class MethodConfig(BaseModel, ABC):
    """Settings of one method, and how to build it. Subclasses add `name: Literal[...]` and their fields.

    The discriminated union of these classes in `config.py` is the registry of methods.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    summary: ClassVar[str]
    """One line for `s4mi methods`."""
    paper: ClassVar[str]
    """Authors, year and title of its source."""
    tasks: ClassVar[frozenset[TaskKind]]
    """What it can be asked to do."""

    starts: ClassVar[dict[str, str | None]] = {"weights": "none"}
    """The settings that say where weights come from, and what each is for random ones."""
    unlabelled: ClassVar[bool] = False
    """Whether it learns from all training images and needs no annotation."""

    cure: ClassVar[str] = ""
    """What to try when pre-training collapses."""

    default_views: ClassVar[ViewSpec]
    """How its training images are varied unless the run says otherwise."""

    views: ViewSpec = Field(default_factory=dict, validate_default=True)

    @field_validator("views", mode="before")
    @classmethod
    def _onto_the_defaults(cls, given: Any) -> Any:
        """Naming one variation changes that one and leaves the method's others."""
        return {**cls.default_views.model_dump(), **given} if isinstance(given, dict) else given

    def crops(self, image_size: int) -> MultiCrop:
        """The views of each image that `loss` wants in a batch, for a network input of `image_size` pixels."""
        return MultiCrop((self.views,))

    def technique(self, pretraining: str | None = None) -> str:
        """The method as a reader of a table knows it, given the method of the pre-training run it starts from."""
        name = str(type(self).model_fields["name"].default)
        return name if pretraining is None else f"{name} from {pretraining}"

    def from_scratch(self) -> Self:
        """The same with random weights, to be filled from a checkpoint."""
        return self.model_copy(update=self.starts)

    @property
    @abstractmethod
    def backbone_name(self) -> str:
        """The network as a reader of a table knows it."""

    @abstractmethod
    def build(self, task: Task) -> Method:
        """The method with fresh weights, drawn from torch's global generator."""


def sigmoid_ramp(share: float) -> float:
    """exp(-5 (1 - s)²) for s in 0..1, from 0.007 to 1: the rise of Laine & Aila (2017)."""
    return math.exp(-5 * (1 - share) ** 2)


@dataclass(frozen=True)
class Mixture:
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

    def mixture(self, batch_size: int, *, unlabelled: int) -> Mixture:
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
        return Mixture(labelled, batch_size - labelled, self.strong_views)

    @property
    def strong_views(self) -> tuple[ViewSpec, ...]:
        """How the further views of the unlabelled images are coloured, if the method wants such."""
        return ()
