"""The settings of one run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, field_validator, model_validator

from s4mi.config.explain import explain
from s4mi.config.layers import leaves
from s4mi.config.loggers import LoggersConfig, short_loggers
from s4mi.config.methods import METHODS, parse_method
from s4mi.config.sections import DataConfig, HardwareConfig, HealthConfig, Section, SplitConfig
from s4mi.config.yaml_file import apply_overrides, read_settings
from s4mi.contract import MethodConfig, PretrainedConfig, SemiSupervisedConfig
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.versions import newest_version
from s4mi.engine.optim import OptimConfig
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind, write_text_atomically

AnyMethodConfig = Annotated[SerializeAsAny[MethodConfig], BeforeValidator(parse_method)]
"""Settings of any registered method; their `name` says which."""

CLASSIFICATION_METRICS = ("f1_macro", "f1_micro", "recall_macro", "recall_micro", "balanced_accuracy", "auroc")
SEGMENTATION_METRICS = ("iou", "dice", "pixel_accuracy")
SECTIONS = ("data", "split", "optim", "health", "hardware", "loggers")


class RunConfig(Section):
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
        config = METHODS.get(str(method.get("name", ""))) if isinstance(method, dict) else None
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
    a, b = (dict(leaves(config.model_dump(mode="json"))) for config in (left, right))
    sections = ("hardware.", "health.", "loggers.")
    ignored = (*sections, "data.cache", "data.allow_leakage", "method.pretrained", "method.classes")
    return [
        f"{key}: {a.get(key)} → {b.get(key)}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key) and not key.startswith(ignored)
    ]
