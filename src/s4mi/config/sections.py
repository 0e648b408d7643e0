"""Sections of a run file: the images, who trains and tests, how pre-training is watched, and what computes it."""

from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from s4mi.data.loading.preprocessing import Preprocessing


class Section(BaseModel):
    """Settings that do not change, and none that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(Section):
    """Which images, and how they become network input."""

    path: Path = Field(description="folder of the data set, with dataset.yaml and manifest.csv")
    version: int | None = Field(
        None, ge=1, description="of the data set, which `s4mi data merge` counts up; none: the newest, put on record"
    )
    image_size: int = Field(224, ge=16, description="side of the square network input, pixels")
    resize_through: int | None = Field(None, ge=16, description="side of a square to resize to on the way (paper: 480)")
    tile: int | None = Field(None, ge=16, description="cut pages into tiles of this many pixels first (paper: 480)")
    red_channel_normalisation: bool = Field(
        False, description="R / sqrt(R² + G² + B²), the paper's for RGB lesion sets"
    )
    allow_leakage: bool = Field(
        False, description="train although the same image or patient is on two sides of the split; the report says so"
    )
    cache: Path = Field(
        default_factory=lambda: platformdirs.user_cache_path("s4mi"), description="folder of the decoded images"
    )

    @property
    def preprocessing(self) -> Preprocessing:
        """The settings that decide about pixels."""
        return Preprocessing(
            image_size=self.image_size,
            resize_through=self.resize_through,
            tile=self.tile,
            red_channel_normalisation=self.red_channel_normalisation,
        )


class SplitConfig(Section):
    """Who trains, chooses and tests."""

    kind: Literal["auto", "official", "random", "kfold", "file"] = Field(
        "auto", description="official: the manifest's column `split`; auto: official where there is one, else random"
    )
    ratios: tuple[float, float, float] = Field((0.7, 0.1, 0.2), description="train, val, test; of a random split")
    folds: int = Field(5, ge=3, description="parts of equal size, of a k-fold split")
    fold: int = Field(0, ge=0, description="which of them tests, from 0; the next one validates")
    seed: int | None = Field(None, ge=0, description="of a random or k-fold split; none: the run's seed")
    file: Path | None = Field(None, description="a saved split, for kind file; made by: s4mi data split … -o FILE")

    @field_validator("ratios")
    @classmethod
    def _shares(cls, ratios: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
            raise ValueError(f"{list(ratios)} are no shares; give three positive numbers that sum to 1")
        return ratios

    @model_validator(mode="after")
    def _complete(self) -> "SplitConfig":
        if self.kind == "file" and self.file is None:
            raise ValueError("file: is missing; kind file takes the split of split.file=FILE")
        if self.kind == "kfold" and self.fold >= self.folds:
            raise ValueError(f"fold: {self.fold} is none of the {self.folds} folds; they count from 0")
        return self


class HealthConfig(Section):
    """How pre-training is watched, which has no labels to tell it whether it goes well."""

    every: int = Field(1, ge=1, description="epochs between two looks at the features")
    images: int = Field(512, ge=8, description="training images that are looked at, spread over all of them")
    knn: bool = Field(
        False, description="also let the nearest labelled training images vote on the validation images, and score that"
    )
    neighbours: int = Field(20, ge=1, description="of the vote")
    patience: int = Field(
        5, ge=0, description="looks in a row at collapsed features that stop the run; 0: warn, and never stop"
    )


class HardwareConfig(Section):
    """Where and how it is computed. Nothing here belongs to what is computed, so it is not part of the config hash."""

    accelerator: str = Field("auto", description="auto, cpu, cuda, mps")
    devices: int = Field(1, ge=1, description="processes on this machine, each with a device of its own")
    num_nodes: int = Field(1, ge=1, description="machines, each with so many; start the command on each with torchrun")
    strategy: Literal["auto", "ddp"] = Field("auto", description="auto: ddp where there are several processes")
    sync_batch_norm: bool = Field(
        True,
        description="of several processes: batch normalisation averages over the images of all, so that their number "
        "changes no result; false: each over its own, which is faster",
    )
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed on a GPU, else 32"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of this process; none: one a core")
    keep_memory: bool = Field(
        True,
        description="on a CPU: the process keeps memory that it has freed until its run ends, which makes steps on "
        "large images up to 1.6 times as fast and its peak about a tenth higher",
    )
    compile: bool = Field(
        False,
        description="networks are translated by torch.compile: a minute or more before the first step, then perhaps "
        "faster ones, on a GPU above all; it needs Triton there and a C++ compiler on a CPU",
    )
    gpu_share: float = Field(
        1.0, gt=0, le=1, description="of a GPU that a run of a study takes on a Ray cluster; 0.25: four runs share one"
    )
    checkpoint_seconds: float = Field(10.0, ge=0, description="least time between two checkpoints, each after an epoch")
    deterministic: bool = Field(True, description="same seed, same device: same weights")

    @field_validator("precision", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value)
