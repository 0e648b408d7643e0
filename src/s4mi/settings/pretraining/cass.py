"""Settings of the method in methods/pretraining/cass.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from s4mi.contract import AUTO, MethodConfig, NetworkKind, Task, ViewSpec
from s4mi.nets.initial_weights import IMAGENET, NONE
from s4mi.records import TaskKind
from s4mi.settings.built import built


class CassConfig(MethodConfig):
    """Settings of CASS; the defaults are the paper's."""

    summary: ClassVar[str] = "Pre-train a CNN and a transformer without labels to give an image the same embedding"
    paper: ClassVar[str] = "Singh, Sizikova & Cirrone 2022, CASS: Cross Architectural Self-Supervision"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel", "segmentation"})
    starts: ClassVar[dict[str, str | None]] = {"weights": "none", "cnn_weights": None, "vit_weights": None}
    networks: ClassVar[dict[str, NetworkKind]] = {"cnn": "cnn", "vit": "transformer"}
    unlabelled: ClassVar[bool] = True
    pretrains: ClassVar[bool] = True
    hints: ClassVar[tuple[str, ...]] = (
        "set method.variance_weight=1", "start from method.weights=imagenet", "lower optim.lr",
    )  # fmt: skip
    default_views: ClassVar[ViewSpec] = ViewSpec(
        translation=0.05, scale=(0.8, 1.0), brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02
    )

    name: Literal["cass"] = "cass"
    cnn: str = Field("resnet50", description="CNN: any timm name, or tiny_resnet")
    vit: str = Field("vit_base_patch16_224", description="Transformer: any timm name, or tiny_vit, tiny_swin")
    weights: str = Field(IMAGENET, description="Initial weights of both networks: imagenet, auto or none")
    cnn_weights: str | None = Field(
        None,
        description="Initial weights of the CNN: imagenet, auto, none, or the path of a weight file; unset: as in "
        "weights",
    )
    vit_weights: str | None = Field(
        None,
        description="Initial weights of the transformer: imagenet, auto, none, or the path of a weight file; unset: as "
        "in weights",
    )
    embedding: PositiveInt = Field(
        1000, description="Dimensions of the embeddings; paper: 1000, the number of ImageNet's logits"
    )
    variance_weight: float = Field(
        0.0, ge=0, description="Weight of the variance loss against feature collapse; paper: 0"
    )

    @model_validator(mode="before")
    @classmethod
    def _auto_for_each(cls, settings: Any) -> Any:
        """Expand `weights: auto` to one for each network, whose weights may differ."""
        if not isinstance(settings, dict) or settings.get("weights") != AUTO:
            return settings
        each = {name: settings.get(name) or AUTO for name in ("cnn_weights", "vit_weights")}
        return {**settings, "weights": NONE, **each}

    @model_validator(mode="after")
    def _two_networks(self) -> "CassConfig":
        if self.cnn == self.vit != AUTO:
            raise ValueError(f"cnn and vit must differ (both are {self.vit!r}); set vit to a transformer")
        return self

    @property
    def backbone_name(self) -> str:
        return f"{self.cnn} + {self.vit}"

    def build(self, task: Task) -> Any:
        return built(self, task, by="pretraining.cass:Cass")
