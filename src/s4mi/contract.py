"""The contract between methods, data and the loop. Abstract here, final in `methods/`.

A method gets a `Batch`, gives named `Losses`; the loop adds them up, steps the optimiser and calls the two hooks.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from s4mi.records import TaskKind


@dataclass(frozen=True)
class Task:
    """What is to be learnt, as far as a network needs to know.

    Attributes:
        kind: multiclass (one class an image), multilabel (any number) or segmentation (one class a pixel).
        classes: names, in the order of the outputs; for segmentation the first is the background.
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
        images: (B, 3, H, W) float in [0, 1]; networks normalise for themselves.
        rows: (B,) int64 on the CPU: positions in the manifest, for naming an image in a message.
        labels: (B,) int64 class indices, or (B, K) float 0/1 for multi-label tasks, or None.
        masks: (B, H, W) int64 class indices with `records.IGNORE`, or None.
    """

    images: Tensor
    rows: Tensor
    labels: Tensor | None = None
    masks: Tensor | None = None

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
    blur: float = Field(0.0, ge=0, le=1, description="probability of a Gaussian blur, sigma 1 pixel at 224")

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(f"{list(scale)} is no range of areas; give two numbers with 0 < least <= greatest <= 1")
        return scale


class Stream(Protocol):
    """A supply of training batches: the same batches for the same epoch, always."""

    steps: int

    def epoch(self, epoch: int, /) -> Iterator[Batch]:
        """The batches of an epoch, in order; epochs count from 1."""

    def plain(self) -> Batches:
        """The same images as they are stored: unaugmented and in order."""


class Method(nn.Module, ABC):
    """Anything the loop can train.

    The two hooks do nothing unless a method gives them a body; they are the only methods here a class may override.
    """

    @abstractmethod
    def loss(self, batch: Batch) -> Losses:
        """The method's loss on `batch`: the paper's formula, readable."""

    def before_epoch(self, images: Batches) -> None:
        """Called before each epoch with the training images, unaugmented (PiCIE clusters here)."""

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step; `progress` runs from 0 to 1 over training (moving averages go here)."""


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
    """A method that ends as one or more encoders, learnt without labels."""

    @abstractmethod
    def encoders(self) -> dict[str, nn.Module]:
        """The learnt encoders by backbone name."""


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

    default_views: ClassVar[ViewSpec]
    """How its training images are varied unless the run says otherwise."""

    views: ViewSpec = Field(default_factory=dict, validate_default=True)

    @field_validator("views", mode="before")
    @classmethod
    def _onto_the_defaults(cls, given: Any) -> Any:
        """Naming one variation changes that one and leaves the method's others."""
        return {**cls.default_views.model_dump(), **given} if isinstance(given, dict) else given

    @property
    @abstractmethod
    def backbone_name(self) -> str:
        """The network as a reader of a table knows it."""

    @abstractmethod
    def build(self, task: Task) -> Method:
        """The method with fresh weights, drawn from torch's global generator."""
