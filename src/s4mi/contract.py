"""The contract between methods, data and the loop. Abstract here, final in `methods/`.

A method gets a `Batch`, gives named `Losses`; the loop adds them up, steps the optimiser and calls the hooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from s4mi.records import TaskKind


@dataclass(frozen=True)
class Task:
    """What is to be learnt, as far as a network needs to know.

    Attributes:
        kind: multiclass (one class an image), multilabel (any number) or segmentation (one class a pixel).
        classes: names, in the order of the outputs; for segmentation the first is the background. None where nothing is
            annotated, which only pre-training can do with.
        image_size: height and width of the network's input, in pixels.
        counts: labelled training images per class (classification) or labelled training pixels per class
            (segmentation); what class weights are made of. Validation and test are never counted.
        labelled: labelled training images.
    """

    kind: TaskKind
    classes: tuple[str, ...]
    image_size: int
    counts: tuple[int, ...]
    labelled: int


@dataclass(frozen=True)
class Batch:
    """Images with what is known of them, on the training device.

    Attributes:
        images: (V·B, 3, H, W) float in [0, 1]: V views of each of B images, view after view; V is 1 unless the method
            asks for more. Networks normalise for themselves.
        rows: (B,) int64 on the CPU: positions in the manifest, for naming an image in a message.
        labels: (B,) int64 class indices, or (B, K) float 0/1 for multi-label tasks, or None.
        masks: (V·B, H, W) int64 class indices with `records.IGNORE`, or None.
        local: (L·B, 3, h, h) smaller crops of the same images, crop after crop, or None.
    """

    images: Tensor
    rows: Tensor
    labels: Tensor | None = None
    masks: Tensor | None = None
    local: Tensor | None = None

    @property
    def known_labels(self) -> Tensor:
        """`labels`, for a method that cannot do without them."""
        assert self.labels is not None, "this method was given a batch without labels"
        return self.labels

    @property
    def known_masks(self) -> Tensor:
        """`masks`, for a method that cannot do without them."""
        assert self.masks is not None, "this method was given a batch without masks"
        return self.masks


Batches = Iterable[Batch]


class Losses(Mapping[str, Tensor]):
    """The named scalar terms of a method's loss; the loop minimises `total`, their sum."""

    def __init__(self, **terms: Tensor) -> None:
        if not terms:
            raise ValueError("a loss has at least one term")
        self._terms = terms

    def __getitem__(self, name: str) -> Tensor:
        return self._terms[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms)

    def __len__(self) -> int:
        return len(self._terms)

    @property
    def total(self) -> Tensor:
        """Sum of the terms, scalar."""
        return torch.stack(tuple(self._terms.values())).sum()


class ViewSpec(BaseModel):
    """How training images are varied: a view is data, one matrix for geometry and one for colour."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation: float = Field(180.0, ge=0, le=180, description="largest angle in degrees; uniform in both directions")
    flip: bool = Field(True, description="flip left-right and up-down, each with probability 1/2")
    scale: tuple[float, float] = Field(
        (1.0, 1.0), description="least and greatest area of the crop, share of the image"
    )
    translation: float = Field(0.0, ge=0, le=1, description="largest shift, share of the image's side")
    brightness: float = Field(0.0, ge=0, lt=1, description="factor uniform in [1 - x, 1 + x]")
    contrast: float = Field(0.0, ge=0, lt=1, description="factor uniform in [1 - x, 1 + x]")
    saturation: float = Field(0.0, ge=0, lt=1, description="factor uniform in [1 - x, 1 + x]")
    hue: float = Field(0.0, ge=0, le=0.5, description="largest turn of the hue, share of the full circle")
    jitter: float = Field(1.0, ge=0, le=1, description="probability that brightness to hue are varied at all")
    grey: float = Field(0.0, ge=0, le=1, description="probability that the colour is taken out")
    blur: float = Field(0.0, ge=0, le=1, description="probability of a Gaussian blur")
    blur_sigma: tuple[float, float] = Field((1.0, 1.0), description="least and greatest sigma, pixels at 224")
    solarise: float = Field(0.0, ge=0, le=1, description="probability that what is brighter than 1/2 is inverted")
    aspect: tuple[float, float] = Field((1.0, 1.0), description="least and greatest width / height of the crop")

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"{list(scale)} is no range of areas; give two numbers with 0 < least <= greatest <= 1")
        return scale

    @field_validator("blur_sigma", "aspect")
    @classmethod
    def _positive_and_ordered(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ends[0] <= ends[1]:
            raise ValueError(f"{list(ends)} is no range; give two numbers with 0 < least <= greatest")
        return ends


@dataclass(frozen=True)
class MultiCrop:
    """The views of each training image that make up a batch (Caron et al. 2020).

    Attributes:
        images: how each of the views at the network's own size is drawn.
        local: how each of the smaller crops is drawn. local_size: their side, in pixels.
    """

    images: tuple[ViewSpec, ...]
    local: tuple[ViewSpec, ...] = ()
    local_size: int = 0


@dataclass(frozen=True)
class Moment:
    """Where training stands.

    Attributes:
        step: optimiser steps taken since the run began. per_epoch: steps an epoch. total: steps of the whole run.
    """

    step: int
    per_epoch: int
    total: int

    @property
    def progress(self) -> float:
        """From 0 to 1 over training."""
        return self.step / self.total

    @property
    def epoch(self) -> float:
        """Epochs that lie behind, in whole and in part."""
        return self.step / self.per_epoch


class Stream(Protocol):
    """A supply of training batches: the same batches for the same epoch, always."""

    steps: int

    def epoch(self, epoch: int, /) -> Iterator[Batch]:
        """The batches of an epoch, in order; epochs count from 1."""

    def plain(self) -> Batches:
        """The same images as they are stored: unaugmented and in order."""


class Method(nn.Module, ABC):
    """Anything the loop can train.

    The hooks do nothing unless a method gives them a body; they are the only methods here a class may override. A step
    calls, in this order: `before_step`, `loss`, the backward pass, `after_backward`, the optimiser, `after_step`.
    """

    @abstractmethod
    def loss(self, batch: Batch) -> Losses:
        """The method's loss on `batch`: the paper's formula, readable."""

    def before_epoch(self, images: Batches) -> None:
        """Called before each epoch with the training images, unaugmented (PiCIE clusters here)."""

    def before_step(self, moment: Moment) -> None:
        """Called before each loss (schedules of the loss go here)."""

    def after_backward(self, moment: Moment) -> None:
        """Called when the gradients are there and not yet used (DINO keeps its prototypes still here)."""

    def after_step(self, moment: Moment) -> None:
        """Called after each optimiser step, which `moment` counts already (moving averages go here)."""


class Classifier(Method):
    """A method that ends as a labeller of images."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K)."""


class Segmenter(Method):
    """A method that ends as a labeller of pixels."""

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] → (B, K, H, W)."""


class Pretrainer(Method):
    """A method that ends as one or more encoders, learnt without labels.

    `embedders` and `signals` are hooks too.
    """

    @abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """The learnt encoders by backbone name: (B, 3, H, W) in [0, 1] → (B, features)."""

    def embedders(self) -> dict[str, nn.Module]:
        """What makes the (B, D) vectors that the loss compares, by name, where their health must be watched as well."""
        return {}

    def signals(self) -> dict[str, float]:
        """What else tells of the health of training, by name, since it was last asked."""
        return {}


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
