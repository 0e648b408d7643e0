"""The settings of a method, and how they become one."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from s4mi.contract.batch import Task
from s4mi.contract.method import Method
from s4mi.contract.views import MultiCrop, ViewSpec
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
    pretrains: ClassVar[bool] = False
    """Whether it ends as encoders to be fine-tuned, and answers nothing itself."""

    hint: ClassVar[str] = ""
    """What to try when what it learns collapses."""
    default_optim: ClassVar[dict[str, Any]] = {}
    """How it is optimised unless the run says otherwise, where that is not the paper's for all the others."""

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

    @property
    def own_classes(self) -> tuple[str, ...]:
        """What its answers are called where the data set has no classes; empty where it can do nothing then."""
        return ()

    @property
    def named(self) -> bool:
        """Whether people have given these names, rather than the method."""
        return False

    @property
    def restarts_allowed(self) -> int:
        """How often training begins again with other weights after a collapse."""
        return 0

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


class PretrainedConfig(MethodConfig, ABC):
    """What the methods have in common whose backbone can come from a pre-training run."""

    starts: ClassVar[dict[str, str | None]] = {"weights": "none", "pretrained": None}

    backbone: str
    weights: str = Field("imagenet", description="imagenet, none, or the path of a weight file")
    pretrained: Path | None = Field(
        None, description="folder of a pre-training run to start from; weights is not looked at then"
    )

    @property
    def backbone_name(self) -> str:
        return self.backbone
