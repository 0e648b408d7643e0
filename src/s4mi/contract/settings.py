"""Settings of a method, and how a method is built from them."""

import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from s4mi.contract.task import Task
from s4mi.contract.views import MultiCrop, ViewSpec
from s4mi.records import TaskKind

if TYPE_CHECKING:
    from s4mi.contract.method import Method

WeightRule = Literal["none", "inverse", "median"]
"""Rule for the class weights of the cross-entropy; see `maths.losses.class_weights`."""

Recipe = Annotated[Literal["strong", "paper"], BeforeValidator(lambda value: "strong" if value == "s4mi" else value)]
"""Source of the defaults of a method: what scores best here, or its paper. Older files call the former `s4mi`."""


_SETTING = re.compile(r"method\.(\w+)=([\w.+-]+)")
NetworkKind = Literal["encoder", "flexible_encoder", "cnn", "transformer", "segmenter"]
"""What a setting names: any timm network, also for images padded to its patches, one of these kinds, or a segmentation
network on an encoder."""
AUTO = "auto"
"""Value of a network for the best with weights at hand, and of weights for the best; see `config/automatic.py`."""


class MethodConfig(BaseModel, ABC):
    """Settings of a method, and how to build it. Subclasses add `name: Literal[...]` and their fields.

    For the registry of methods, see `config/methods.py`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    summary: ClassVar[str]
    """One-line description, shown by `s4mi methods`."""
    paper: ClassVar[str]
    """Authors, year and title of the source."""
    tasks: ClassVar[frozenset[TaskKind]]
    """Tasks that the method supports."""

    starts: ClassVar[dict[str, str | None]] = {"weights": "none"}
    """Settings that select initial weights, each with its value for random weights."""
    networks: ClassVar[dict[str, NetworkKind]] = {}
    """Settings that name a network, for which `auto` can be given; empty: the first of backbone, encoder, network."""
    unlabelled: ClassVar[bool] = False
    """Whether the method learns from all training images and needs no annotations."""
    pretrains: ClassVar[bool] = False
    """Whether the result is encoders to fine-tune, not a model that predicts."""

    fitted: ClassVar[bool] = False
    """Whether the method is fitted to stored features at once, without epochs; see `contract/features.py`."""

    differentiable: ClassVar[bool] = True
    """Whether predictions have gradients with respect to the image, as saliency maps need."""

    hints: ClassVar[tuple[str, ...]] = ("lower optim.lr",)
    """What to try if representations collapse, each of which may name a setting as `method.name=value`."""
    default_optim: ClassVar[dict[str, Any]] = {}
    """Defaults of the section `optim` for this method, where they differ from those of `OptimConfig`."""

    default_views: ClassVar[ViewSpec]
    """Default augmentation of training images."""
    paper_settings: ClassVar[dict[str, Any]] = {}
    """With the setting `recipe`: values of the paper that replace the defaults under `recipe: paper`."""

    name: str
    views: ViewSpec = Field(default_factory=dict, validate_default=True, description="Augmentation of training images")

    @model_validator(mode="before")
    @classmethod
    def _from_the_recipe(cls, settings: Any) -> Any:
        """Under `recipe: paper`, fill in the paper's values for settings that are not set explicitly."""
        if not isinstance(settings, dict) or settings.get("recipe") != "paper":
            return settings
        views = settings.get("views") or {}
        if isinstance(views, dict):
            views = {**cls.paper_settings.get("views", {}), **views}
        return {**cls.paper_settings, **settings, "views": views}

    @field_validator("views", mode="before")
    @classmethod
    def _merge_with_defaults(cls, value: Any) -> Any:
        """Keep the method's defaults for augmentations that are not set."""
        return {**cls.default_views.model_dump(), **value} if isinstance(value, dict) else value

    def crops(self, image_size: int) -> MultiCrop:
        """Return the views per image that `loss` needs, for a network input of `image_size` pixels."""
        return MultiCrop((self.views,))

    def technique(self, pretraining: str | None = None) -> str:
        """Return the name shown in tables; `pretraining` is the method of the pre-training run it starts from."""
        name = str(type(self).model_fields["name"].default)
        return name if pretraining is None else f"{name} from {pretraining}"

    @property
    def hint(self) -> str:
        """What to try if representations collapse, for error messages and warnings: no setting that is taken."""
        left = [hint for hint in self.hints if not self._is_taken(hint)]
        *most, last = left or ["train on more images"]
        return f"{', '.join(most)}, or {last}" if most else last

    def _is_taken(self, hint: str) -> bool:
        """Whether a hint names a setting that has its value already."""
        found = _SETTING.search(hint)
        if found is None or found[1] not in type(self).model_fields:
            return False
        value = getattr(self, found[1])
        if found[2] == "RUN":
            return value is not None
        if found[1] == "weights":  # a method with several networks may have others for each
            each = [value, *(getattr(self, name) for name in type(self).model_fields if name.endswith("_weights"))]
            return any(one not in (None, "none") for one in each if isinstance(one, str | None))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) == float(found[2]) if number else str(value).lower() == found[2].lower()

    @property
    def own_classes(self) -> tuple[str, ...]:
        """Class names to use if the data set defines no classes; empty if the method requires classes."""
        return ()

    @property
    def named(self) -> bool:
        """Whether `own_classes` were named by the user."""
        return False

    @property
    def restarts_allowed(self) -> int:
        """How often training may restart with other initial weights after a collapse."""
        return 0

    @classmethod
    def network_settings(cls) -> dict[str, NetworkKind]:
        """Return the settings that name a network, each with its kind."""
        first = next((name for name in ("backbone", "encoder", "network") if name in cls.model_fields), None)
        return cls.networks or ({} if first is None else {first: "encoder"})

    @classmethod
    def weight_settings(cls) -> dict[str, str]:
        """Return the settings in `starts` that take weights, each with the setting of its network.

        `cnn_weights` is for the network `cnn`, where there is one, and `weights` for the first network without its own.
        """
        networks = cls.network_settings()
        own = {f"{name}_weights": name for name in networks if f"{name}_weights" in cls.starts}
        others = [name for name in networks if name not in own.values()]
        return {"weights": others[0], **own} if others and "weights" in cls.starts else own

    def from_scratch(self) -> Self:
        """Return a copy with random initial weights, for loading a checkpoint."""
        return self.model_copy(update=self.starts)

    @property
    @abstractmethod
    def backbone_name(self) -> str:
        """Name of the network shown in tables."""

    @abstractmethod
    def build(self, task: Task) -> "Method":
        """Build the method; random weights are drawn from torch's global generator."""


class PretrainedConfig(MethodConfig, ABC):
    """Settings shared by the methods whose backbone can start from a pre-training run."""

    starts: ClassVar[dict[str, str | None]] = {"weights": "none", "pretrained": None}

    backbone: str = Field(
        description="Network: the name of a timm model, tiny_resnet, tiny_vit, tiny_swin, or auto (the best with "
        "weights at hand)"
    )
    weights: str = Field(
        "imagenet",
        description="Initial weights of the backbone: imagenet, auto (the best at hand), none (random), or the path of "
        "a weight file",
    )
    pretrained: Path | None = Field(
        None, description="Folder of a pre-training run to start from, instead of method.weights"
    )

    @property
    def backbone_name(self) -> str:
        return self.backbone
