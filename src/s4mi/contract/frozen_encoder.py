"""Settings shared by the methods that are fitted to the features of a frozen encoder."""

from abc import ABC
from typing import ClassVar, Self

from pydantic import Field, field_validator

from s4mi.contract.settings import NetworkKind, PretrainedConfig, WeightRule

CLASSICAL = "classical"
"""Name of the features of colour, texture and shape."""


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


class JoinedFeaturesConfig(FrozenEncoderConfig, ABC):
    """What is joined to the features of the encoder, and the weights of the classes in the fit."""

    join: tuple[str, ...] = Field(
        (CLASSICAL,),
        description="Further features to join to those of the backbone: classical (colour, texture and shape), or "
        "encoders as NAME=FILE, or NAME for its ImageNet weights",
    )
    class_weights: WeightRule | tuple[float, ...] = Field(
        "inverse",
        description="Class weights of the fit: none, inverse or median frequency of the labelled images, or a list of "
        "numbers; multi-label: weights of the positives",
    )

    @field_validator("join", mode="before")
    @classmethod
    def _as_tuple(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @property
    def joined_label(self) -> str:
        """What is joined, for the name of a technique, such as " + classical"."""
        return "".join(f" + {name.partition('=')[0]}" for name in self.join)
