"""A study: techniques side by side on one data set, at several label fractions and seeds, and the runs it comes to.

    data: {path: …}
    label_fractions: [10, 100]
    seeds: [0, 1, 2]
    settings: {batch_size: 16}                     of every run
    pretraining:
      dino: {method: {name: dino, backbone: resnet50}, epochs: 100}
    arms:
      - {method: {name: finetune, backbone: resnet50}}
      - {method: {name: finetune, backbone: resnet50}, pretraining: dino}

A pre-training run is made once a seed, and every label fraction starts from it. A technique that learns without labels
has one run a seed, at 0 %, whatever the fractions.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from s4mi.config.explain import explain
from s4mi.config.run import METHODS, DataConfig, RunConfig, SplitConfig, make_run_config
from s4mi.config.yaml_file import apply_overrides, read_settings
from s4mi.contract import MethodConfig
from s4mi.data.fractions import LabelAmount
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(_Section):
    """One technique on one network: a row of the table that the study fills."""

    name: str = Field("", description="of its folders; none: technique and network")
    settings: dict[str, Any] = Field(default_factory=dict, description="of its runs, as in a run file")
    pretraining: str | None = Field(None, description="which of the study's pre-training runs it starts from")
    label_fractions: tuple[float | str, ...] | None = Field(None, min_length=1, description="instead of the study's")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, contents: Any) -> Any:
        """Settings of the runs stand beside the arm's own in the file."""
        if not isinstance(contents, dict) or "settings" in contents:
            return contents
        own = {key: value for key, value in contents.items() if key in cls.model_fields}
        return {**own, "settings": {key: value for key, value in contents.items() if key not in own}}

    @field_validator("label_fractions")
    @classmethod
    def _once(cls, given: tuple[float | str, ...] | None) -> tuple[float | str, ...] | None:
        return None if given is None else _different(given)


class StudyConfig(_Section):
    """A comparison to be made."""

    data: DataConfig
    split: SplitConfig = SplitConfig()
    label_fractions: tuple[float | str, ...] = Field((10.0, 100.0), min_length=1, description="as in a run file")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    settings: dict[str, Any] = Field(default_factory=dict, description="of every run, as in a run file")
    pretraining: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="runs without labels by name, each with settings as in a run file"
    )
    arms: tuple[Arm, ...] = Field(min_length=1, description="what is compared")

    @field_validator("label_fractions")
    @classmethod
    def _once(cls, given: tuple[float | str, ...]) -> tuple[float | str, ...]:
        return _different(given)

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(f"{list(seeds)} are no seeds of several runs; give different numbers of at least 0")
        return seeds

    @model_validator(mode="after")
    def _in_its_place(self) -> "StudyConfig":
        """What a study varies is not settled in the settings of a run."""
        places = {"settings": self.settings}
        places |= {f"arms: {arm.name or number}": arm.settings for number, arm in enumerate(self.arms, start=1)}
        for place, settings in places.items():
            for key, plural in (("label_fraction", "label_fractions"), ("seed", "seeds")):
                if key in settings:
                    own = " of the arm" if key == "label_fraction" and place != "settings" else " of the study"
                    raise ValueError(f"{place}: {key} is not for a run of a study; set {plural}{own}")
        for name, settings in self.pretraining.items():
            if "seed" in settings:
                raise ValueError(f"pretraining: {name}: seed is not for a run of a study; set seeds of the study")
        return self

    @model_validator(mode="after")
    def _named(self) -> "StudyConfig":
        for arm in self.arms:
            if arm.pretraining is not None and arm.pretraining not in self.pretraining:
                hint = nearest(arm.pretraining, self.pretraining)
                raise ValueError(f"arms: pretraining {arm.pretraining!r} is none of the study's{hint}")
        return self


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        name: its folder below that of the study. needs: the name of the run that must be finished first, or None.
    """

    name: str
    config: RunConfig
    needs: str | None = None


def load_study(path: Path, overrides: Sequence[str] = ()) -> StudyConfig:
    """Read a study file and apply `key=value` overrides such as `data.path=mine` or `seeds=[0]`.

    Raises:
        S4miError: no such file, no YAML, an unknown key or a value that does not fit, also in a run that it comes to.
    """
    contents = read_settings(path, first="data: {path: …}")
    return make_study(apply_overrides(contents, overrides), origin=str(path))


def make_study(contents: dict[str, Any], *, origin: str) -> StudyConfig:
    """Validate a study; `origin` is the place that a message names.

    Raises:
        S4miError: an unknown key or a value that does not fit, also in a run that it comes to.
    """
    try:
        study = StudyConfig.model_validate(contents)
    except ValidationError as error:
        raise S4miError(f"{origin}: {explain(error, StudyConfig, {})}") from error
    list(plan_study(study, Path(), origin=origin))
    return study


def plan_study(study: StudyConfig, out: Path, *, origin: str = "study") -> Iterator[PlannedRun]:
    """The runs of a study below the folder `out`, each after those it needs: first every comparison once, then again.

    Raises:
        S4miError: settings of a run that do not fit, or two arms of one name.
    """
    for seed in study.seeds:
        common = {
            "data": study.data.model_dump(mode="json"),
            "split": study.split.model_dump(mode="json"),
            "seed": seed,
        }
        seen: set[str] = set()
        for name, own in study.pretraining.items():
            settings = _merged(_merged(common, study.settings), {"task": _task(study, name), **own})
            config = make_run_config(settings, origin=f"{origin}: pretraining {name!r}")
            if not config.method.pretrains:
                raise S4miError(
                    f"{origin}: pretraining {name!r}: {config.method.name!r} answers by itself; make it an arm"
                )
            if _pretraining(name, seed) in seen:
                raise S4miError(f"{origin}: pretraining {name!r} has the folder of another one; choose another name")
            seen.add(_pretraining(name, seed))
            yield PlannedRun(_pretraining(name, seed), config)
        for arm in study.arms:
            for run in _arm(study, arm, common, out, seed=seed, origin=origin):
                if run.name in seen:
                    raise S4miError(f"{origin}: two arms are called {run.name.split('/')[1]!r}; give one a name: …")
                seen.add(run.name)
                yield run


def _task(study: StudyConfig, pretraining: str) -> TaskKind | None:
    """Segmentation, where that is what all arms do that start from a pre-training run: it shall have their split."""
    arms = [_method_of(study, arm) for arm in study.arms if arm.pretraining == pretraining]
    return "segmentation" if arms and all(arm is not None and arm.tasks == {"segmentation"} for arm in arms) else None


def _method_of(study: StudyConfig, arm: Arm) -> type[MethodConfig] | None:
    """The method of an arm, or None where it is not known."""
    method = _merged(study.settings, arm.settings).get("method")
    return METHODS.get(str(method["name"] if isinstance(method, dict) and "name" in method else method))


def _arm(
    study: StudyConfig, arm: Arm, common: dict[str, Any], out: Path, *, seed: int, origin: str
) -> Iterator[PlannedRun]:
    needs = None if arm.pretraining is None else _pretraining(arm.pretraining, seed)
    method = _method_of(study, arm)
    without_labels = method is not None and method.unlabelled and not method.pretrains
    fractions = (100.0,) if without_labels else arm.label_fractions or study.label_fractions
    for fraction in fractions:
        settings = _merged(_merged(common, study.settings), {**arm.settings, "label_fraction": fraction})
        if needs is not None:
            settings = _merged(settings, {"method": {"pretrained": str(out / needs)}})
        config = make_run_config(settings, origin=f"{origin}: arm {arm.name or arm.pretraining or 'without a name'!r}")
        technique = arm.name or f"{config.method.technique(arm.pretraining)}-{config.method.backbone_name}"
        amount = "0%" if without_labels else str(LabelAmount.parse(fraction)).replace(" ", "")
        yield PlannedRun(f"runs/{_file_name(technique)}-{_file_name(amount)}-seed{seed}", config, needs)


def _pretraining(name: str, seed: int) -> str:
    return f"pretraining/{_file_name(name)}-seed{seed}"


def _file_name(text: str) -> str:
    """As a folder may be called on any system."""
    kept = text.replace("%", "pct").replace(", ", "-").replace(" ", "-")
    spelled = "".join(letter if letter.isalnum() or letter in "-_.+" else "-" for letter in kept)
    return re.sub("-{2,}", "-", spelled).strip("-")


def _different(amounts: tuple[float | str, ...]) -> tuple[float | str, ...]:
    """The amounts as they are, if they can be told apart."""
    try:
        known = [LabelAmount.parse(amount) for amount in amounts]
    except S4miError as error:
        raise ValueError(str(error)) from error
    if len(set(known)) < len(known):
        raise ValueError(f"{list(amounts)} names an amount twice; name each once")
    return amounts


def _merged(settings: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`settings` with `more` laid over it, section by section.

    A method given by its name is a section too; one of another name takes the place of all that was there.
    """
    result = dict(settings)
    for key, value in more.items():
        below, above = result.get(key), value
        if key == "method":
            below, above = ({"name": side} if isinstance(side, str) else side for side in (below, above))
            if (
                isinstance(below, dict)
                and isinstance(above, dict)
                and above.get("name", below.get("name")) != below.get("name")
            ):
                below = None
        result[key] = _merged(below, above) if isinstance(below, dict) and isinstance(above, dict) else above
    return result
