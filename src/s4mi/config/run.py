"""The settings of one run. The union `AnyMethodConfig` is the registry: a new method is one file and one name here."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from s4mi.config.explain import explain
from s4mi.config.loggers import LoggersConfig, short_loggers
from s4mi.config.yaml_file import apply_overrides, read_settings
from s4mi.contract import MethodConfig, PretrainedConfig, SemiSupervisedConfig
from s4mi.data.fractions import LabelAmount
from s4mi.data.preprocessing import Preprocessing
from s4mi.data.versions import newest_version
from s4mi.engine.optim import OptimConfig
from s4mi.errors import S4miError, nearest
from s4mi.methods.classification.finetune import FinetuneConfig
from s4mi.methods.pretraining.cass import CassConfig
from s4mi.methods.pretraining.dino import DinoConfig
from s4mi.methods.pretraining.simclr import SimclrConfig
from s4mi.methods.pretraining.simmim import SimmimConfig
from s4mi.methods.segmentation.adversarial import AdversarialConfig
from s4mi.methods.segmentation.co_training import CoTrainingConfig
from s4mi.methods.segmentation.cross_pseudo_supervision import CrossPseudoSupervisionConfig
from s4mi.methods.segmentation.cross_teaching import CrossTeachingConfig
from s4mi.methods.segmentation.mean_teacher import MeanTeacherConfig
from s4mi.methods.segmentation.picie import MdcConfig, PicieConfig
from s4mi.methods.segmentation.self_training import SelfTrainingConfig
from s4mi.methods.segmentation.supervised import SupervisedConfig
from s4mi.methods.segmentation.weak_to_strong import WeakToStrongConfig
from s4mi.records import TaskKind, write_text_atomically

AnyMethodConfig = Annotated[
    FinetuneConfig
    | DinoConfig
    | CassConfig
    | SimclrConfig
    | SimmimConfig
    | SupervisedConfig
    | CrossTeachingConfig
    | CrossPseudoSupervisionConfig
    | CoTrainingConfig
    | MeanTeacherConfig
    | AdversarialConfig
    | SelfTrainingConfig
    | WeakToStrongConfig
    | PicieConfig
    | MdcConfig,
    Field(discriminator="name"),
]
METHOD_CONFIGS: tuple[type[MethodConfig], ...] = get_args(get_args(AnyMethodConfig)[0])

METHODS = {str(config.model_fields["name"].default): config for config in METHOD_CONFIGS}

CLASSIFICATION_METRICS = ("f1_macro", "f1_micro", "recall_macro", "recall_micro", "balanced_accuracy", "auroc")
SEGMENTATION_METRICS = ("iou", "dice", "pixel_accuracy")
SECTIONS = ("data", "split", "optim", "health", "hardware", "loggers")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
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


class SplitConfig(_Section):
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


class HealthConfig(_Section):
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


class HardwareConfig(_Section):
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
    gpu_share: float = Field(
        1.0, gt=0, le=1, description="of a GPU that a run of a study takes on a Ray cluster; 0.25: four runs share one"
    )
    checkpoint_seconds: float = Field(10.0, ge=0, description="least time between two checkpoints, each after an epoch")
    deterministic: bool = Field(True, description="same seed, same device: same weights")

    @field_validator("precision", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value)


class RunConfig(_Section):
    """One training run. The defaults are the paper's (S4MI section 3.3); some methods have others for `optim`."""

    data: DataConfig
    method: AnyMethodConfig
    task: TaskKind | None = Field(
        None,
        description="which of the data set's tasks; none: the method's own, of pre-training that of the labels",
    )
    split: SplitConfig = SplitConfig()
    label_fraction: float | str = Field(
        100.0,
        description="of the annotated training images: percent, or e.g. '50 images' or '5 patients'; "
        "saved: those that split.file lists as labelled",
    )
    seed: int = Field(0, ge=0)
    epochs: int = Field(50, ge=1)
    epoch_steps: int | None = Field(
        None, ge=1, description="optimiser steps of an epoch, so that few images are seen often; none: each image once"
    )
    batch_size: int = Field(16, ge=1, description="images of an optimiser step, of all devices together")
    optim: OptimConfig = OptimConfig()
    select: str | None = Field(None, description="validation score that chooses the best epoch; none: f1_macro or iou")
    health: HealthConfig = Field(HealthConfig(), description="of pre-training")
    hardware: HardwareConfig = HardwareConfig()
    loggers: LoggersConfig = Field(LoggersConfig(), description="a list is short for loggers.names")

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, contents: Any) -> Any:
        """`method: dedl` is short for `method: {name: dedl}`; a section with nothing in it is one of defaults."""
        if not isinstance(contents, dict):
            return contents
        full = {"data": {}, **contents}
        if isinstance(full.get("method"), str):
            full["method"] = {"name": full["method"]}
        full["loggers"] = short_loggers(full.get("loggers", {}))
        full = {key: {} if value is None and key in SECTIONS else value for key, value in full.items()}
        method, optim = full.get("method"), full.get("optim", {})
        config = METHODS.get(method.get("name", "")) if isinstance(method, dict) else None
        if config is not None and isinstance(optim, dict):
            full["optim"] = {**config.default_optim, **optim}
        return full

    @field_validator("label_fraction")
    @classmethod
    def _amount(cls, given: float | str) -> float | str:
        try:
            return LabelAmount.parse(given).setting
        except S4miError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _selectable(self) -> "RunConfig":
        if self.method.pretrains:  # nothing is scored
            return self
        known = SEGMENTATION_METRICS if "segmentation" in self.method.tasks else CLASSIFICATION_METRICS
        if self.select is not None and self.select not in known:
            raise ValueError(f"select: {self.select!r} is none of {', '.join(known)}{nearest(self.select, known)}")
        return self

    @model_validator(mode="after")
    def _mixable(self) -> "RunConfig":
        if isinstance(self.method, SemiSupervisedConfig):
            try:
                self.method.mixture(self.batch_size, unlabelled=1)
            except S4miError as error:
                raise ValueError(str(error)) from error
        return self

    @property
    def amount(self) -> LabelAmount:
        """`label_fraction`, to be used."""
        return LabelAmount.parse(self.label_fraction)

    def metric(self, kind: TaskKind) -> str:
        """Name of the validation score that chooses the best epoch."""
        return self.select or ("iou" if kind == "segmentation" else "f1_macro")

    @property
    def hash(self) -> str:
        """Of everything that can change the result except the images themselves, which have a hash of their own."""
        contents = self.model_dump(
            mode="json",
            exclude={
                "hardware": True,
                "health": True,
                "loggers": True,
                "data": {"path", "version", "cache", "allow_leakage"},
                "split": {"file"},
                "method": {"pretrained", "classes"},
            },
        )  # images, split and pre-trained weights have hashes of their own; being watched or named changes no weight
        for key in self.method.starts:  # a file of weights is the same one wherever it lies
            given = contents["method"].get(key)
            if isinstance(given, str) and Path(given).name != given:
                contents["method"][key] = Path(given).name
        return hashlib.blake2b(json.dumps(contents, sort_keys=True).encode(), digest_size=8).hexdigest()


def load_run_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run file and apply `key=value` overrides such as `method.encoder=resnet18` or `optim.lr=1e-3`.

    Raises:
        S4miError: no such file, no YAML, an unknown key (the nearest is named) or a value that does not fit.
    """
    contents = read_settings(path, first="data: {path: …}")
    return make_run_config(apply_overrides(contents, overrides), origin=str(path))


def make_run_config(contents: dict[str, Any], *, origin: str) -> RunConfig:
    """Validate settings; `origin` is the place that a message names.

    Raises:
        S4miError: an unknown key or a value that does not fit.
    """
    try:
        config = RunConfig.model_validate(contents)
    except ValidationError as error:
        raise S4miError(f"{origin}: {explain(error, RunConfig, METHODS)}") from error
    folders = {name: getattr(config.data, name).expanduser().absolute() for name in ("path", "cache")}
    file = None if config.split.file is None else config.split.file.expanduser().absolute()
    split = config.split.model_copy(update={"file": file})
    method = config.method
    if isinstance(method, PretrainedConfig) and method.pretrained is not None:
        method = method.model_copy(update={"pretrained": method.pretrained.expanduser().absolute()})
    version = newest_version(folders["path"]) if config.data.version is None else config.data.version
    data = config.data.model_copy(update={**folders, "version": version})
    return config.model_copy(update={"data": data, "split": split, "method": method})


def save_run_config(config: RunConfig, path: Path) -> None:
    """Write every setting with its resolved value; the file can be run again."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text_atomically(path, text)


def differences(left: RunConfig, right: RunConfig) -> list[str]:
    """Settings that differ between two configs, as `key: left → right`.

    Where it is computed, how and by whom it is watched, what its clusters are called, and the folders of the cache and
    of a pre-training run do not count.
    """
    a, b = (dict(_leaves(config.model_dump(mode="json"))) for config in (left, right))
    sections = ("hardware.", "health.", "loggers.")
    ignored = (*sections, "data.cache", "data.allow_leakage", "method.pretrained", "method.classes")
    return [
        f"{key}: {a.get(key)} → {b.get(key)}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key) and not key.startswith(ignored)
    ]


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
