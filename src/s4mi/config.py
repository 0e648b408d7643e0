"""The only door for settings: a YAML file, then `key=value` overrides, then validation. Nothing below reads settings.

The union `AnyMethodConfig` is the registry of methods: a new method is one file and one name here.
"""

import hashlib
import json
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import platformdirs
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from s4mi.contract import MethodConfig
from s4mi.data.fractions import LabelAmount
from s4mi.data.preprocessing import Preprocessing
from s4mi.engine.optim import OptimConfig
from s4mi.errors import S4miError, closest, nearest
from s4mi.methods.classification.finetune import FinetuneConfig
from s4mi.methods.segmentation.supervised import SupervisedConfig
from s4mi.records import TaskKind, write_text_atomically

AnyMethodConfig = Annotated[FinetuneConfig | SupervisedConfig, Field(discriminator="name")]
METHOD_CONFIGS: tuple[type[MethodConfig], ...] = get_args(get_args(AnyMethodConfig)[0])

CLASSIFICATION_METRICS = ("f1_macro", "f1_micro", "recall_macro", "recall_micro", "balanced_accuracy", "auroc")
SEGMENTATION_METRICS = ("iou", "dice", "pixel_accuracy")
SECTIONS = ("data", "split", "optim", "hardware")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Section):
    """Which images, and how they become network input."""

    path: Path = Field(description="folder of the data set, with dataset.yaml and manifest.csv")
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


class HardwareConfig(_Section):
    """Where and how it is computed. Nothing here belongs to what is computed, so it is not part of the config hash."""

    accelerator: str = Field("auto", description="auto, cpu, cuda, mps")
    devices: int = Field(1, ge=1)
    num_nodes: int = Field(1, ge=1)
    strategy: str = Field("auto", description="auto, ddp, …: any strategy of Lightning Fabric")
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="auto: bf16-mixed on a GPU, else 32"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads of this process; none: one a core")
    checkpoint_seconds: float = Field(10.0, ge=0, description="least time between two checkpoints, each after an epoch")
    deterministic: bool = Field(True, description="same seed, same device: same weights")

    @field_validator("precision", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value)


class RunConfig(_Section):
    """One training run. The defaults are the paper's (S4MI section 3.3)."""

    data: DataConfig
    method: AnyMethodConfig
    split: SplitConfig = SplitConfig()
    label_fraction: float | str = Field(
        100.0, description="of the annotated training images: percent, or e.g. '50 images' or '5 patients'"
    )
    seed: int = Field(0, ge=0)
    epochs: int = Field(50, ge=1)
    batch_size: int = Field(16, ge=1)
    optim: OptimConfig = OptimConfig()
    select: str | None = Field(None, description="validation score that chooses the best epoch; none: f1_macro or iou")
    hardware: HardwareConfig = HardwareConfig()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, contents: Any) -> Any:
        """`method: dedl` is short for `method: {name: dedl}`; a section with nothing in it is one of defaults."""
        if not isinstance(contents, dict):
            return contents
        full = {"data": {}, **contents}
        if isinstance(full.get("method"), str):
            full["method"] = {"name": full["method"]}
        return {key: {} if value is None and key in SECTIONS else value for key, value in full.items()}

    @field_validator("label_fraction")
    @classmethod
    def _amount(cls, given: float | str) -> float | str:
        try:
            return LabelAmount.parse(given).setting
        except S4miError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _selectable(self) -> "RunConfig":
        known = SEGMENTATION_METRICS if "segmentation" in self.method.tasks else CLASSIFICATION_METRICS
        if self.select is not None and self.select not in known:
            raise ValueError(f"select: {self.select!r} is none of {', '.join(known)}{nearest(self.select, known)}")
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
            mode="json", exclude={"hardware": True, "data": {"path", "cache", "allow_leakage"}, "split": {"file"}}
        )  # the images and the split have hashes of their own, and what is allowed changes no weight
        return hashlib.blake2b(json.dumps(contents, sort_keys=True).encode(), digest_size=8).hexdigest()


def load_run_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a run file and apply `key=value` overrides such as `method.encoder=resnet18` or `optim.lr=1e-3`.

    Raises:
        S4miError: no such file, no YAML, an unknown key (the nearest is named) or a value that does not fit.
    """
    try:
        contents = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise S4miError(f"{path}: not there; write a run file or take one from studies/") from error
    except OSError as error:
        raise S4miError(f"{path}: cannot be read ({error.strerror}); give a run file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise S4miError(f"{place}: is not YAML ({problem})") from error
    if not isinstance(contents, dict):
        raise S4miError(f"{path}: must hold keys and values, beginning with: data: {{path: …}}")
    return make_run_config(apply_overrides(contents, overrides), origin=str(path))


def make_run_config(contents: dict[str, Any], *, origin: str) -> RunConfig:
    """Validate settings; `origin` is the place that a message names.

    Raises:
        S4miError: an unknown key or a value that does not fit.
    """
    try:
        config = RunConfig.model_validate(contents)
    except ValidationError as error:
        raise S4miError(f"{origin}: {_explain(error)}") from error
    folders = {name: getattr(config.data, name).expanduser().absolute() for name in ("path", "cache")}
    file = None if config.split.file is None else config.split.file.expanduser().absolute()
    split = config.split.model_copy(update={"file": file})
    return config.model_copy(update={"data": config.data.model_copy(update=folders), "split": split})


def apply_overrides(contents: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`contents` with each `dotted.key=value` set; values are read as YAML, so `[1, 2]`, `null` and `1e-3` work.

    Raises:
        S4miError: an override without `=`, or one that goes through a value.
    """
    result: dict[str, Any] = json.loads(json.dumps(contents, default=str))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise S4miError(f"{override!r} is no setting; write key=value, e.g. optim.lr=1e-3")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise S4miError(f"{override!r}: the value is not YAML; quote it") from error
        *path, last = key.split(".")
        place = result
        for part in path:
            if part == "method" and isinstance(place.get(part), str):
                place[part] = {"name": place[part]}
            inner = place.get(part)
            if not isinstance(inner, dict | None):
                raise S4miError(f"{override!r}: {part!r} holds {inner!r}, not settings of its own")
            place[part] = inner or {}
            place = place[part]
        place[last] = value
    return result


def save_run_config(config: RunConfig, path: Path) -> None:
    """Write every setting with its resolved value; the file can be run again."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text_atomically(path, text)


def differences(left: RunConfig, right: RunConfig) -> list[str]:
    """Settings that differ between two configs, as `key: left → right`; hardware and cache do not count."""
    a, b = (dict(_leaves(config.model_dump(mode="json"))) for config in (left, right))
    ignored = ("hardware.", "data.cache", "data.allow_leakage")
    return [
        f"{key}: {a.get(key)} → {b.get(key)}"
        for key in sorted({*a, *b})
        if a.get(key) != b.get(key) and not key.startswith(ignored)
    ]


def setting_names(model: type[BaseModel] = RunConfig) -> list[str]:
    """Every setting as a dotted name."""
    names: list[str] = []
    for name, info in model.model_fields.items():
        names.append(name)
        for inner in _models_in(info.annotation):
            names.extend(f"{name}.{below}" for below in setting_names(inner))
    return list(dict.fromkeys(names))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated):
        for part in get_args(annotation):
            yield from _models_in(part)


def _explain(error: ValidationError) -> str:
    """The first problem, in one line and in the user's own names."""
    problems = error.errors()
    methods = {str(config.model_fields["name"].default): config for config in METHOD_CONFIGS}
    # pydantic puts the chosen method's name into the path of a method's setting; the user did not write it there.
    section, name = (*problems[0]["loc"], None, None)[:2]
    method = methods.get(str(name)) if section == "method" else None
    known = _known_settings(method)
    # A value that may be of several types has a problem with each; the reading that got furthest says most.
    place = _setting(problems[0], known, within_method=method is not None)
    same = [one for one in problems if _setting(one, known, within_method=method is not None) == place]
    problem = max(same, key=lambda one: len(one["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{place} is no setting{_hint(place, known) or (f' of {name}' if method else '')}"
    if problem["type"] == "missing" and isinstance(problem["loc"][-1], int):
        message = "too few values"
    elif problem["type"] == "missing":
        return f"{place} is missing; add it to the file or pass {place}=…"
    if problem["type"] == "union_tag_not_found":
        return "method.name is missing; see: s4mi methods"
    if problem["type"] == "union_tag_invalid":
        given = str((problem.get("ctx") or {}).get("tag", ""))
        return f"method {given!r} is unknown{nearest(given, methods)}; see: s4mi methods"
    return f"{place}: {message} (given: {problem['input']!r})" if place else message


def _known_settings(method: type[MethodConfig] | None) -> list[str]:
    """Every setting, with those of one method only where it is known."""
    if method is None:
        return setting_names()
    own = [f"method.{name}" for name in setting_names(method)]
    return [name for name in setting_names() if not name.startswith("method.")] + own


def _setting(problem: ErrorDetails, known: Sequence[str], *, within_method: bool) -> str:
    """The setting a problem is with; below it pydantic adds positions in a list and its own names of types."""
    parts = [str(part) for i, part in enumerate(problem["loc"]) if not (within_method and i == 1)]
    if problem["type"] != "extra_forbidden":
        for end in range(len(parts), 1, -1):
            if ".".join(parts[:end]) in known:
                return ".".join(parts[:end])
    return ".".join(parts)


def _hint(place: str, known: Sequence[str]) -> str:
    """The setting of that name in another section, or else one of this section that is spelt alike."""
    section, _, last = place.rpartition(".")
    names = {name.rpartition(".")[2]: name for name in reversed(known)}
    beside = {name.rpartition(".")[2]: name for name in known if not section or name.rpartition(".")[0] == section}
    found = names.get(last) or beside.get(closest(last, beside) or "")
    return f"; did you mean {found!r}?" if found else ""


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
