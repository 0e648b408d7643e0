"""Settings shared by the methods that are fitted to the features of a frozen encoder."""

from abc import ABC
from typing import ClassVar, Self

from pydantic import Field

from s4mi.contract.settings import NetworkKind, PretrainedConfig


class FrozenEncoderConfig(PretrainedConfig, ABC):
    """The encoder and its weights, which are in no checkpoint, so that loading a run needs the same weights again."""

    fitted: ClassVar[bool] = True
    networks: ClassVar[dict[str, NetworkKind]] = {"backbone": "flexible_encoder"}

    backbone: str = Field(
        "auto",
        description="Frozen encoder: a timm name, tiny_resnet, tiny_vit, tiny_swin, or auto (the best with weights at "
        "hand)",
    )
    weights: str = Field(
        "auto", description="Weights of the encoder: auto (the best at hand), imagenet, none, or the path of a file"
    )

    def from_scratch(self) -> Self:
        """Return the settings unchanged."""
        return self
