"""Settings of the method in methods/segmentation/frozen_segmenter.py."""

from typing import Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

from s4mi.contract import TURNS, FrozenEncoderConfig, Task, ViewSpec, WeightRule
from s4mi.records import TaskKind
from s4mi.settings.built import built


class FrozenSegmenterConfig(FrozenEncoderConfig):
    """Settings of the frozen segmenter; `weights` and `pretrained` stay, as the encoder is in no checkpoint."""

    summary: ClassVar[str] = "Fit a light decoder or a linear layer to a frozen encoder's feature maps, in seconds"
    paper: ClassVar[str] = "Oquab et al. 2024, DINOv2: Learning Robust Visual Features without Supervision"
    tasks: ClassVar[frozenset[TaskKind]] = frozenset({"segmentation"})
    default_views: ClassVar[ViewSpec] = ViewSpec(rotation=0.0, flip=False)

    name: Literal["frozen_segmenter"] = "frozen_segmenter"
    head: Literal["decoder", "linear"] = Field(
        "decoder", description="What is fitted to the feature maps: a light convolutional decoder, or a linear layer"
    )
    blocks: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="Blocks of a ViT or stages of a CNN whose feature maps are used, counted from the end as -1, -2; "
        "none: four spread over the depth of a ViT, the last four stages of a CNN",
    )
    encoder_sizes: tuple[PositiveInt, ...] | None = Field(
        None,
        min_length=1,
        description="Sides in pixels to which images are resized for the encoder, one pass each, whose maps are used "
        "together; none: data.image_size, rounded to a multiple of the encoder's patches",
    )
    turns: int = Field(
        TURNS,
        ge=1,
        le=TURNS,
        description="Number of flips and quarter turns of each image to fit to; 1: the image alone",
    )
    strength: PositiveFloat | None = Field(
        None,
        description="Strength of the linear head's penalty on its squared weights; none: chosen by cross-validation",
    )
    width: int = Field(64, ge=16, multiple_of=16, description="Number of channels of the decoder")
    dropout: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of the maps' channels that the decoder does without, at random, in each step",
    )
    decoder_steps: PositiveInt = Field(300, description="Number of optimiser steps of the decoder")
    decoder_batch: PositiveInt = Field(8, description="Number of images per step of the decoder")
    decoder_lr: PositiveFloat = Field(
        2e-3, description="Maximum learning rate of the decoder, from which it falls to zero"
    )
    decoder_weight_decay: NonNegativeFloat = Field(1e-2, description="Weight decay of the decoder (AdamW)")
    class_weights: WeightRule | tuple[float, ...] = Field(
        "none",
        description="Class weights of the cross-entropy: none, inverse or median frequency of labelled training "
        "pixels, or a list of numbers",
    )

    @field_validator("blocks")
    @classmethod
    def _from_the_end(cls, blocks: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if blocks is not None and (max(blocks) >= 0 or len(set(blocks)) < len(blocks)):
            raise ValueError("must be different numbers from the end, such as [-1, -4]")
        return blocks

    def technique(self, pretraining: str | None = None) -> str:
        return f"{super().technique(pretraining)}, {self.head}"

    def build(self, task: Task) -> Any:
        return built(self, task, by="segmentation.frozen_segmenter:FrozenSegmenter")
