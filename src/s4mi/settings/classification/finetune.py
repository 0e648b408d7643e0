"""Settings of the method in methods/classification/finetune.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from s4mi.contract import CLASSIFICATION_VIEWS, PretrainedConfig, Recipe, Task, TuningConfig, ViewSpec, WeightRule
from s4mi.nets.initial_weights import NONE
from s4mi.records import TaskKind
from s4mi.settings.built import built


class FinetuneConfig(PretrainedConfig, TuningConfig):
    """Settings of fine-tuning; the defaults are the paper's transfer learning."""

    summary: ClassVar[str] = "Fine-tune a pre-trained backbone on the labelled images"
    paper: ClassVar[str] = "Singh et al. 2024, S4MI, section 3.1 (transfer learning; second stage of DINO and CASS)"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"multiclass", "multilabel"})
    default_views: ClassVar[ViewSpec] = CLASSIFICATION_VIEWS
    paper_settings: ClassVar[dict[str, Any]] = {"views": CLASSIFICATION_VIEWS.model_dump()}

    name: Literal["finetune"] = "finetune"
    recipe: Recipe = Field(
        "strong", description="Source of the defaults of views; for classification both recipes have the same"
    )
    backbone: str = Field("resnet50", description="Backbone: any timm name, tiny_resnet, tiny_vit, tiny_swin, or auto")
    criterion: Literal["cross_entropy", "focal"] = Field(
        "cross_entropy", description="Loss: cross-entropy or focal loss; multi-label: its binary form for each class"
    )
    gamma: float = Field(2.0, ge=0, description="Focusing parameter of the focal loss; 0: cross-entropy")
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the loss: none, inverse or median frequency of labelled training images, or a "
        "list of numbers; multi-label: weights of the positives",
    )

    @model_validator(mode="before")
    @classmethod
    def _linear_probe(cls, settings: Any) -> Any:
        """Read `linear_probe`, the setting of earlier versions, as `tuning`."""
        if not isinstance(settings, dict) or "linear_probe" not in settings:
            return settings
        others = {name: value for name, value in settings.items() if name != "linear_probe"}
        return {"tuning": "head", **others} if settings["linear_probe"] else others

    def technique(self, pretraining: str | None = None) -> str:
        start = pretraining or ("transfer from scratch" if self.weights == NONE else "transfer")
        return ", ".join(filter(None, (start, self.tuning_label)))

    def build(self, task: Task) -> Any:
        return built(self, task, by="classification.finetune:Finetune")
