"""Sections of a run file: data, split, monitoring of pre-training, hardware."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from s4mi.data.loading.default_cache import default_cache

if TYPE_CHECKING:
    from s4mi.data.loading.preprocessing import Preprocessing


class Section(BaseModel):
    """Immutable settings; unknown keys are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class DataConfig(Section):
    """The data set and its preprocessing."""

    path: Path = Field(description="Data set folder, containing dataset.yaml and manifest.csv")
    version: int | None = Field(
        None,
        ge=1,
        description="Data set version to use; `s4mi data merge` creates new ones (default: the newest, which is "
        "recorded with the run)",
    )
    image_size: int = Field(224, ge=16, le=16_384, description="Side of the square network input in pixels")
    resize_through: int | None = Field(
        None,
        ge=16,
        le=65_536,
        description="Side in pixels of an intermediate square to resize to before data.image_size (paper: 480; "
        "default: resize directly)",
    )
    tile: int | None = Field(
        None,
        ge=16,
        le=65_536,
        description="Side in pixels of the square tiles that images are cut into before resizing (paper: 480; "
        "default: no tiles)",
    )
    red_channel_normalisation: bool = Field(
        False, description="Replace the red channel by R / sqrt(R² + G² + B²), as the paper does for RGB lesion images"
    )
    allow_leakage: bool = Field(
        False,
        description="Train even if parts of the split share an image, or pre-training has seen test images; the report "
        "says so. A patient in two parts is always refused",
    )
    cache: Path = Field(
        default_factory=default_cache, description="Folder for cached decoded images and stored features"
    )

    @property
    def preprocessing(self) -> "Preprocessing":
        """The settings that affect pixel values."""
        from s4mi.data.loading.preprocessing import Preprocessing  # with all that reads images

        return Preprocessing(
            image_size=self.image_size,
            resize_through=self.resize_through,
            tile=self.tile,
            red_channel_normalisation=self.red_channel_normalisation,
        )


class SplitConfig(Section):
    """Division into training, validation and test set."""

    kind: Literal["auto", "official", "random", "kfold", "file"] = Field(
        "auto",
        description="How the data set is split; official: by the manifest's column `split`; auto: official if there "
        "is such a column, else random",
    )
    ratios: tuple[float, float, float] = Field(
        (0.7, 0.1, 0.2), description="Shares of training, validation and test set in a random split"
    )
    folds: int = Field(5, ge=3, le=1000, description="Number of equally large folds in a k-fold split")
    fold: int = Field(
        0, ge=0, description="Test fold of a k-fold split, counted from 0; the fold after it is the validation set"
    )
    seed: int | None = Field(
        None, ge=0, lt=2**63, description="Seed of a random or k-fold split (default: the seed of the run)"
    )
    test_seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="Seed of the test part of a random or k-fold split, so that runs whose seeds differ have the same "
        "test images; training and validation are then drawn by split.seed or the seed of the run (default: one "
        "seed for all three parts)",
    )
    file: Path | None = Field(
        None, description="Saved split to load if split.kind is file; create one with: s4mi data split … -o FILE"
    )

    @field_validator("ratios")
    @classmethod
    def _sum_to_one(cls, ratios: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(0 < ratio < 1 for ratio in ratios) or abs(sum(ratios) - 1) > 1e-6:
            raise ValueError("must be three positive numbers that sum to 1")
        return ratios

    @model_validator(mode="after")
    def _complete(self) -> "SplitConfig":
        if self.kind == "file" and self.file is None:
            raise ValueError("file is missing; set split.file=FILE, or another split.kind")
        if "kind" not in self.model_fields_set:  # a saved run names its kind, and keeps what it ignored
            for key, kind in (("file", "file"), ("folds", "kfold"), ("fold", "kfold")):
                if key in self.model_fields_set and getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"{key} is set, but has no effect without a kind; set split.kind={kind} too")
        if self.kind == "kfold" and self.fold >= self.folds:
            raise ValueError(f"fold must be 0–{self.folds - 1} (given {self.fold})")
        return self


class HealthConfig(Section):
    """Monitoring of pre-training, which has no labels to measure progress by."""

    every: int = Field(1, ge=1, description="Number of epochs between two checks of the features")
    images: int = Field(
        512, ge=8, description="Number of training images per check, spread evenly over the training set"
    )
    knn: bool = Field(
        False,
        description="Also classify validation images by their nearest labelled training images (k-NN) and record the "
        "score",
    )
    neighbours: int = Field(20, ge=1, description="Number of neighbours of the k-NN classifier")
    patience: int = Field(
        5, ge=0, description="Number of consecutive checks with collapsed features that stops the run; 0: only warn"
    )


class HardwareConfig(Section):
    """Where and how a run is computed. Nothing here defines the result, so it is not part of the config hash."""

    accelerator: str = Field("auto", description="Device type: auto, cpu, cuda or mps")
    devices: int = Field(1, ge=1, description="Number of processes on this machine, each with its own device")
    num_nodes: int = Field(
        1,
        ge=1,
        description="Number of machines, each with hardware.devices processes; start the command on each with torchrun",
    )
    strategy: Literal["auto", "ddp"] = Field(
        "auto", description="How processes train together; auto: ddp if there are several"
    )
    sync_batch_norm: bool = Field(
        True,
        description="Compute batch normalisation over the images of all processes, so that their number does not "
        "change results; false: per process, which is faster",
    )
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = Field(
        "auto",
        description="Numerical precision; auto: bf16-mixed on a GPU, else 32, but on CPUs that multiply in bfloat16 "
        "stored features use it where that changes them little, and so do predictions with `--precision auto`",
    )
    threads: int | None = Field(None, ge=1, description="Number of CPU threads of this process (default: one per core)")
    keep_memory: bool = Field(
        True,
        description="On a CPU, keep freed memory in the process until the run ends: steps on large images are up to "
        "1.6 times as fast, peak memory is about 10 % higher",
    )
    compile: bool = Field(
        False,
        description="Compile networks with torch.compile: delays the first step by a minute or more, may speed up "
        "later ones, mainly on a GPU; needs Triton on a GPU and a C++ compiler on a CPU",
    )
    gpu_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of a GPU that each run of a study reserves on a Ray cluster; 0.25: four runs share a GPU",
    )
    checkpoint_seconds: float = Field(
        10.0, ge=0, description="Minimum time in s between two checkpoints, which are saved at the end of an epoch"
    )
    deterministic: bool = Field(
        True, description="Use deterministic algorithms: the same seed on the same device gives the same weights"
    )

    @field_validator("precision", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value)
