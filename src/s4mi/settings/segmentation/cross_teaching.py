"""Settings of the method in methods/segmentation/cross_teaching.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from s4mi.contract import PAPER_SEGMENTATION_VIEWS, NetworkKind, Recipe, SemiSupervisedConfig, Task
from s4mi.nets.initial_weights import IMAGENET, NONE
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built


class CrossTeachingConfig(SemiSupervisedConfig):
    """Settings of cross teaching.

    Pseudo-labels of untrained networks are noise, and those of the weaker network pass its mistakes on. The default
    recipe therefore ramps the weight of the pseudo-label loss up to 0.1 over all of training, as the authors' code
    does, and fills three quarters of a batch with labelled images. The paper's recipe uses weight 1 from the first
    step, half of a batch, and weaker views. A setting that is set explicitly overrides the recipe.
    """

    summary: ClassVar[str] = "Train a CNN and a transformer on few masks, each on the other's pseudo-labels"
    paper: ClassVar[str] = "Luo et al. 2022, Semi-Supervised Medical Image Segmentation via Cross Teaching"
    starts: ClassVar[dict[str, str | None]] = {"cnn_weights": NONE, "transformer_weights": NONE}
    networks: ClassVar[dict[str, NetworkKind]] = {"cnn": "segmenter", "transformer": "segmenter"}
    paper_settings: ClassVar[dict[str, Any]] = {
        "unlabelled_weight": 1.0,
        "ramp_up": 0.0,
        "labelled_share": 0.5,
        "views": PAPER_SEGMENTATION_VIEWS.model_dump(),
    }

    name: Literal["cross_teaching"] = "cross_teaching"
    cnn: str = Field(
        "small_unet",
        description="CNN: small_unet, the name of an encoder (makes a U-Net), or ARCHITECTURE/ENCODER",
    )
    transformer: str = Field(
        "swin_unet",
        description="Transformer: swin_unet, tiny_swin_unet, dpt/VIT, frozen/NAME (a light decoder on a frozen timm "
        "encoder), or any network that cnn accepts",
    )
    cnn_weights: str = Field(
        NONE, description="Initial weights of the CNN's encoder: imagenet, auto, none, or the path of a weight file"
    )
    transformer_weights: str = Field(
        IMAGENET,
        description="Initial weights of the transformer's encoder: imagenet, auto, none, or the path of a weight file",
    )
    recipe: Recipe = Field(
        "strong",
        description="Source of the defaults of unlabelled_weight, ramp_up, labelled_share and views: s4mi's own, or "
        "the paper",
    )
    unlabelled_weight: float = Field(
        0.1, ge=0, description="Weight of the pseudo-label loss on unlabelled images; paper: 1"
    )
    ramp_up: float = Field(
        1.0, ge=0, le=1, description="Share of training over which unlabelled_weight ramps up; paper: 0"
    )
    labelled_share: float = Field(
        0.75,
        gt=0,
        lt=1,
        description="Share of labelled images in a batch; with masks for all images, all but one of the batch; "
        "paper: 0.5",
    )
    confidence: float = Field(
        0.0, ge=0, lt=1, description="Minimum probability of a pseudo-label; pixels below it are ignored; paper: 0"
    )

    @property
    def backbone_name(self) -> str:
        return f"{network_label(self.cnn)} + {network_label(self.transformer)}"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.cross_teaching:CrossTeaching")
