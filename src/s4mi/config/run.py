"""The settings of one run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from s4mi.config.automatic import resolve
from s4mi.config.choice import Choice
from s4mi.config.explain import explain
from s4mi.config.external_tests import Tests
from s4mi.config.labels import LabelsConfig, without_newer_defaults
from s4mi.config.layers import leaves
from s4mi.config.length import resolved_length
from s4mi.config.loggers import LoggersConfig, short_loggers
from s4mi.config.methods import METHODS, parse_method
from s4mi.config.sections import DataConfig, HardwareConfig, HealthConfig, Section, SplitConfig
from s4mi.config.weight_settings import identified, with_absolute_files
from s4mi.config.yaml_file import apply_overrides, read_settings
from s4mi.contract import MethodConfig, PretrainedConfig, SemiSupervisedConfig
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.versions import newest_version
from s4mi.errors import S4miError, nearest
from s4mi.home import expanded
from s4mi.records import SelectionRule, TaskKind, write_text_atomically
from s4mi.settings.optim import OptimConfig

AnyMethodConfig = Annotated[SerializeAsAny[MethodConfig], BeforeValidator(parse_method)]
"""Settings of any registered method; their `name` says which."""

CLASSIFICATION_METRICS = ("f1_macro", "f1_micro", "recall_macro", "recall_micro", "balanced_accuracy", "auroc")
SEGMENTATION_METRICS = ("iou", "dice", "pixel_accuracy")
SECTIONS = ("data", "split", "labels", "optim", "health", "hardware", "loggers", "tests")


class RunConfig(Section):
    """One training run. The defaults are the paper's (S4MI section 3.3); some methods override those of `optim`."""

    data: DataConfig = Field(description="The data set and its preprocessing")
    method: AnyMethodConfig = Field(description="Method to train: its name, or its name and settings")
    task: TaskKind | None = Field(
        None,
        description="Task of the data set to train on (default: the task of the method; for pre-training, the task "
        "that the labels are for)",
    )
    split: SplitConfig = Field(SplitConfig(), description="Division into training, validation and test set")
    label_fraction: float | str = Field(
        100.0,
        description="Amount of annotated training images whose annotation is used: a percentage, or e.g. '50 images' "
        "or '5 patients'; saved: the images that split.file lists as labelled",
    )
    labels: LabelsConfig = Field(LabelsConfig(), description="Which labels count as those of the run")
    selection: SelectionRule = Field(
        "validation",
        description="How epoch, ensemble member, temperature and thresholds are chosen; validation: on the validation "
        "part, or on labels held out of the counted ones; cross_validation: fitted heads by folds inside the labels, "
        "trained networks as validation; last: nothing is chosen, the last epoch, temperature 1, thresholds 1/2",
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="Seed of all random draws of the run, and of the split unless split.seed is set"
    )
    steps: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Number of optimiser steps, whatever the number of images; rounded up to whole epochs of "
        "epoch_steps (default: train by epochs)",
    )
    epochs: int = Field(
        50,
        ge=1,
        le=1_000_000,
        description="Number of training epochs, each ending with a validation; follows from steps if set",
    )
    epoch_steps: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Number of optimiser steps per epoch, to repeat few images often (default: each image once, or a "
        "twentieth of steps)",
    )
    batch_size: int = Field(
        16, ge=1, le=65_536, description="Number of images per optimiser step, over all devices together"
    )
    optim: OptimConfig = Field(OptimConfig(), description="Optimiser and learning-rate schedule")
    select: str | None = Field(
        None,
        description="Validation score that selects the best epoch (default: iou for segmentation, f1_macro for "
        "classification)",
    )
    tests: Tests = Field(
        {}, description="External test sets by name, each with its path; the finished run is scored on them too"
    )
    health: HealthConfig = Field(HealthConfig(), description="Monitoring of the features during pre-training")
    hardware: HardwareConfig = Field(HardwareConfig(), description="Devices, precision and speed")
    loggers: LoggersConfig = Field(
        LoggersConfig(), description="Loggers of training progress; a list is short for loggers.names"
    )

    auto: dict[str, Choice] = Field(
        {}, description="Settings that were given as auto, with what was chosen and why; written by s4mi"
    )

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, contents: Any) -> Any:
        """Expand `method: dedl` to `method: {name: dedl}`, and empty sections to their defaults."""
        if not isinstance(contents, dict):
            return contents
        full = {"data": {}, **contents}
        if isinstance(full.get("method"), str):
            full["method"] = {"name": full["method"]}
        full["loggers"] = short_loggers(full.get("loggers", {}))
        full = {key: {} if value is None and key in SECTIONS else value for key, value in full.items()}
        full = resolved_length(full)
        method, optim = full.get("method"), full.get("optim", {})
        config = METHODS.get(str(method.get("name", ""))) if isinstance(method, dict) else None
        if config is not None and isinstance(optim, dict):
            full["optim"] = {**config.default_optim, **optim}
        return full

    @field_validator("label_fraction")
    @classmethod
    def _valid_amount(cls, value: float | str) -> float | str:
        try:
            return LabelAmount.parse(value).setting
        except S4miError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _valid_score(self) -> "RunConfig":
        if self.method.pretrains:  # no scores are computed
            return self
        known = SEGMENTATION_METRICS if "segmentation" in self.method.tasks else CLASSIFICATION_METRICS
        if self.select is not None and self.select not in known:
            hint = nearest(self.select, known)
            raise ValueError(f"select: must be one of {', '.join(known)} (given {self.select!r}){hint}")
        return self

    @model_validator(mode="after")
    def _valid_batch_size(self) -> "RunConfig":
        if isinstance(self.method, SemiSupervisedConfig):
            try:
                self.method.batch_composition(self.batch_size, unlabelled=1)
            except S4miError as error:
                raise ValueError(str(error)) from error
        return self

    @property
    def amount(self) -> LabelAmount:
        """`label_fraction`, parsed."""
        return LabelAmount.parse(self.label_fraction)

    def metric(self, kind: TaskKind) -> str:
        """Return the name of the validation score that selects the best epoch."""
        return self.select or ("iou" if kind == "segmentation" else "f1_macro")

    @property
    def hash(self) -> str:
        """Hash of all settings that can change the result; images, split and pre-trained weights have their own."""
        contents = self.model_dump(
            mode="json",
            exclude={
                "steps": True,
                "hardware": True,
                "health": True,
                "loggers": True,
                "auto": True,
                "tests": True,
                "data": {"path", "version", "cache", "allow_leakage"},
                "split": {"file"},
                "method": {"pretrained", "classes", "recipe"},
            },
        )  # monitoring, logging and names of clusters change no weight; what steps and recipe set is in other settings
        without_newer_defaults(contents, self.method)
        for key in (*self.method.starts, "join"):
            weights = contents["method"].get(key)
            if weights is not None and key != "pretrained":
                contents["method"][key] = identified(weights)
        return hashlib.blake2b(json.dumps(contents, sort_keys=True).encode(), digest_size=8).hexdigest()


def load_run_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run file and apply `key=value` overrides such as `method.encoder=resnet18` or `optim.lr=1e-3`.

    Raises:
        S4miError: the file cannot be read, or a setting is unknown (the message names the nearest) or invalid.
    """
    contents = read_settings(path, first="data: {path: …}")
    return make_run_config(apply_overrides(contents, overrides), origin=str(path))


def make_run_config(contents: dict[str, Any], *, origin: str) -> RunConfig:
    """Validate settings; `origin` is the prefix of error messages.

    Raises:
        S4miError: a setting is unknown or invalid.
    """
    try:
        config = RunConfig.model_validate(contents)
    except ValidationError as error:
        raise S4miError(f"{origin}: {explain(error, RunConfig, METHODS)}") from error
    folders = {name: expanded(getattr(config.data, name)).absolute() for name in ("path", "cache")}
    tests = {name: test.absolute() for name, test in config.tests.items()}
    file = None if config.split.file is None else expanded(config.split.file).absolute()
    split = config.split.model_copy(update={"file": file})
    method = config.method
    if isinstance(method, PretrainedConfig) and method.pretrained is not None:
        method = method.model_copy(update={"pretrained": expanded(method.pretrained).absolute()})
    method, chosen = resolve(method, image_size=config.data.image_size)
    method = with_absolute_files(method)
    still = {key: choice for key, choice in config.auto.items() if _is_still(method, key, choice)}
    version = newest_version(folders["path"]) if config.data.version is None else config.data.version
    data = config.data.model_copy(update={**folders, "version": version})
    return config.model_copy(
        update={"data": data, "split": split, "method": method, "tests": tests, "auto": {**still, **chosen}}
    )


def _is_still(method: MethodConfig, setting: str, choice: Choice) -> bool:
    """Whether a choice of an earlier `auto`, as in a run's config.yaml, has not been overridden."""
    return str(getattr(method, setting.removeprefix("method."), None)) == choice.value


def save_run_config(config: RunConfig, path: Path) -> None:
    """Write all settings with their resolved values; the file can be run again."""
    write_text_atomically(path, run_config_text(config))


def run_config_text(config: RunConfig) -> str:
    """Return the contents of the file that `save_run_config` writes."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # in C where PyYAML has it: each run of a study writes two
    text: str = yaml.dump(config.model_dump(mode="json"), Dumper=dumper, sort_keys=False, allow_unicode=True)
    return text


def differences(left: RunConfig, right: RunConfig) -> list[str]:
    """Return the settings that differ between two configs, as `key: left → right`.

    Ignored are hardware, monitoring and loggers, external test sets, the names of clusters, the folders of the cache
    and of a pre-training run, and `steps` and `recipe`, which only set other settings.
    """
    a, b = (dict(leaves(config.model_dump(mode="json"))) for config in (left, right))
    sections = ("hardware.", "health.", "loggers.", "auto.", "tests")
    ignored = (
        *sections,
        "data.cache",
        "data.allow_leakage",
        "method.pretrained",
        "method.classes",
        "method.recipe",
        "steps",
    )
    return [
        f"{key}: {a.get(key)} → {b.get(key)}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key) and not key.startswith(ignored)
    ]
