"""Settings of the method in methods/segmentation/weak_to_strong.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from s4mi.contract import NetworkConfig, Task, ViewSpec
from s4mi.nets.network_names import network_label
from s4mi.settings.built import built

STRONG = ViewSpec(
    brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25, jitter=0.8, grey=0.2, blur=0.5, blur_sigma=(0.5, 2.0)
)
"""Colour augmentation of a strong view; its geometry is that of the weak view."""


class WeakToStrongConfig(NetworkConfig):
    """Settings of weak-to-strong consistency; the defaults are UniMatch's."""

    summary: ClassVar[str] = (
        "Train a U-Net to predict on strongly augmented images what it predicts on weakly augmented ones"
    )
    paper: ClassVar[str] = (
        "Yang et al. 2023, Revisiting Weak-to-Strong Consistency (UniMatch); Sohn et al. 2020, FixMatch"
    )

    name: Literal["weak_to_strong"] = "weak_to_strong"
    confidence: float = Field(
        0.95, ge=0, lt=1, description="Minimum probability of a pseudo-label; pixels below it are ignored"
    )
    feature_dropout: float = Field(
        0.5, ge=0, lt=1, description="Share of the encoder's channels dropped in the feature loss; 0: no feature loss"
    )
    cutmix: float = Field(
        0.5, ge=0, le=1, description="Probability that CutMix pastes a box of another image into a strong view"
    )
    complementary: bool = Field(
        False,
        description="Leave out one half of the encoder's channels in one strong view and the other half in the other, "
        "as UniMatch V2 does, in place of the feature loss",
    )
    strong: ViewSpec = Field(STRONG, description="Colour augmentation of the strong views")

    @property
    def backbone_name(self) -> str:
        return network_label(self.network)

    @property
    def strong_views(self) -> tuple[ViewSpec, ...]:
        return (self.strong, self.strong)

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.weak_to_strong:WeakToStrong")
