"""Settings of how much of a pre-trained encoder is trained."""

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from s4mi.contract.settings import MethodConfig

Tuning = Literal["full", "head", "last_blocks", "lora"]


class TuningConfig(MethodConfig):
    """Settings shared by the methods that train a head or decoder on a pre-trained encoder."""

    tuning: Tuning = Field(
        "full",
        description="What is trained of the encoder: full, head (nothing of it), last_blocks, or lora (low-rank "
        "updates of its weights, by the library peft); the head or decoder is always trained",
    )
    tuned_blocks: PositiveInt = Field(
        2,
        description="Number of blocks of the encoder that last_blocks trains, counted from its end; stages of the "
        "encoders of segmentation networks",
    )
    lora_rank: PositiveInt = Field(8, description="Rank of the updates of lora")
    lora_alpha: float = Field(
        16.0, gt=0, description="Scale of the updates of lora, which are multiplied by alpha / rank"
    )
    head_first: NonNegativeInt = Field(
        0, description="Number of optimiser steps, at the start, in which the head or decoder alone is trained"
    )

    @property
    def segmenter_label(self) -> str:
        """What is trained of a segmentation network, for the name of a technique; empty if it is everything."""
        return "frozen encoder" if self.tuning == "head" else self.tuning_label

    @property
    def tuning_label(self) -> str:
        """What is trained, for the name of a technique; empty if it is everything."""
        labels = {"full": "", "head": "linear probe", "last_blocks": f"last {self.tuned_blocks} blocks", "lora": "LoRA"}
        return labels[self.tuning]
