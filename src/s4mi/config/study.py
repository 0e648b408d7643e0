"""A study: techniques side by side on one or several data sets, at several label fractions and seeds.

    profile: paper                                    defaults of every run; what stands below lies over them
    data: {path: …}                                   or datasets: {lesions: {path: …}, cells: {path: …}}
    backbones: [resnet50, vit_base_patch16_224]       each classifier and its pre-training on both
    label_fractions: [10, 100]
    seeds: [0, 1, 2]
    budget: 12 h
    settings: {select: f1_macro}                      of every run
    pretraining:
      dino: dino
      cass: {method: {name: cass, variance_weight: 1}, epochs: 100}
    arms:
      - finetune
      - {method: finetune, pretraining: dino}         on each backbone from the DINO run on it
      - {method: finetune, pretraining: cass}

A pre-training run is made once a seed, if any arm starts from it, for all label fractions. A technique that learns
without labels has one run a seed, at 0 %, whatever the fractions. When labels are merged into the data set, the arms
have new runs on the new version, beside those on the old one; pre-training, which reads no label, stays as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from s4mi.config.duration import seconds_of
from s4mi.config.layers import Settings
from s4mi.config.profiles import ByNetwork, ProfileName
from s4mi.config.sections import DataConfig, Section, SplitConfig
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.errors import S4miError, nearest

Fractions = tuple[float | str, ...]


class StudyDataset(DataConfig):
    """One of several data sets: as `data` of a run, and what else is its own."""

    split: SplitConfig | None = Field(None, description="instead of the study's")
    settings: Settings = Field({}, description="of the runs on it, as in a run file")

    @property
    def given(self) -> Settings:
        """What the file says of its images; the rest is left to the defaults."""
        return _given(self, leave={"split", "settings"})


class _Technique(Section):
    """What arms and pre-training have in common: settings of the runs stand beside their own in the file."""

    settings: Settings = Field({}, description="of its runs, as in a run file")
    backbones: ByNetwork = Field(
        {}, description="its networks, a list, or each with settings of the runs on it; none: method.backbone"
    )
    datasets: tuple[str, ...] | None = Field(None, min_length=1, description="those that it is for; none: all")

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, contents: Any) -> Any:
        if isinstance(contents, str):
            contents = {"method": contents}
        if not isinstance(contents, dict) or "settings" in contents:
            return contents
        own = {key: value for key, value in contents.items() if key in cls.model_fields}
        return {**own, "settings": {key: value for key, value in contents.items() if key not in own}}

    @field_validator("datasets", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given


class PretrainingArm(_Technique):
    """Runs without labels that arms start from."""


class Arm(_Technique):
    """One technique: a row of the table that the study fills, or one for each of its networks."""

    name: str = Field("", description="of its folders; none: technique and network")
    pretraining: str | None = Field(None, description="which of the study's pre-training runs it starts from")
    label_fractions: Fractions | None = Field(None, min_length=1, description="instead of the study's")

    @field_validator("label_fractions")
    @classmethod
    def _once(cls, given: Fractions | None) -> Fractions | None:
        return None if given is None else _different(given)


class StudyConfig(Section):
    """A comparison to be made."""

    profile: ProfileName | None = Field(None, description="defaults of the runs; what the file says lies over them")
    data: DataConfig | None = Field(None, description="the data set, as in a run")
    datasets: dict[str, StudyDataset] = Field(
        {},
        description="or several by name, each as `data` of a run, with a `split` and `settings` of its own; null: not",
    )
    split: SplitConfig = SplitConfig()
    label_fractions: Fractions = Field((10.0, 100.0), min_length=1, description="as in a run file")
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    budget: str | None = Field(
        None, description="time that all runs may take together, such as '2 h'; what does not fit is left out and named"
    )
    settings: Settings = Field({}, description="of every run, as in a run file")
    backbones: ByNetwork = Field(
        {},
        description="of classification and its pre-training where none is named: a list, or each with settings of the "
        "runs on it; none: the profile's",
    )
    pretraining: dict[str, PretrainingArm] = Field(
        {},
        description="runs without labels by name, each with settings as in a run file, `backbones`, `datasets`; "
        "null: not",
    )
    arms: tuple[Arm, ...] = Field(min_length=1, description="what is compared")

    @property
    def seconds(self) -> float | None:
        """`budget`, to be used."""
        return None if self.budget is None else seconds_of(self.budget)

    @property
    def sets(self) -> dict[str, StudyDataset]:
        """The data sets by name, which is empty where there is only one and its runs need no folder of their own."""
        if self.data is None:
            return self.datasets
        return {"": StudyDataset.model_validate(_given(self.data))}

    @model_validator(mode="before")
    @classmethod
    def _without_those_left_out(cls, contents: Any) -> Any:
        """`datasets.cells=null` leaves a data set out, also where arms name it; `pretraining.x=null` its arms too."""
        if not isinstance(contents, dict):
            return contents
        result, starts = _dropped(contents, "pretraining")
        result, sets = _dropped(result, "datasets")
        if starts and isinstance(result.get("arms"), list):
            result["arms"] = [arm for arm in result["arms"] if _pretraining_of(arm) not in starts]
        if sets and isinstance(result.get("arms"), list):
            result["arms"] = [arm for arm in (_without(arm, sets) for arm in result["arms"]) if arm is not None]
        if sets and isinstance(result.get("pretraining"), dict):
            kept = {name: _without(start, sets) for name, start in result["pretraining"].items()}
            result["pretraining"] = {name: start for name, start in kept.items() if start is not None}
        return result

    @field_validator("budget", mode="before")
    @classmethod
    def _duration(cls, given: Any) -> Any:
        if given is not None:
            seconds_of(given)
        return given

    @field_validator("label_fractions")
    @classmethod
    def _once(cls, given: Fractions) -> Fractions:
        return _different(given)

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError(f"{list(seeds)} are no seeds of several runs; give different numbers of at least 0")
        return seeds

    @model_validator(mode="after")
    def _some_data(self) -> "StudyConfig":
        if self.data is None and not self.datasets:
            raise ValueError("data is missing; name a data set with data: {path: …}, or several with datasets:")
        if self.data is not None and self.datasets:
            raise ValueError("data and datasets both name data sets; keep one of the two")
        return self

    @model_validator(mode="after")
    def _in_its_place(self) -> "StudyConfig":
        """What a study varies is not settled in the settings of a run."""
        for place, settings in self._places():
            for key, plural in (("label_fraction", "label_fractions"), ("seed", "seeds")):
                if key in settings:
                    own = " of the arm" if key == "label_fraction" and place.startswith("arms") else " of the study"
                    raise ValueError(f"{place}: {key} is not for a run of a study; set {plural}{own}")
        for name, start in self.pretraining.items():
            if "seed" in start.settings:
                raise ValueError(f"pretraining: {name}: seed is not for a run of a study; set seeds of the study")
        return self

    def _places(self) -> Iterator[tuple[str, Settings]]:
        yield "settings", self.settings
        for name, dataset in self.datasets.items():
            yield f"datasets: {name}: settings", dataset.settings
        for name, settings in self.backbones.items():
            yield f"backbones: {name}", settings
        for number, arm in enumerate(self.arms, start=1):
            yield f"arms: {arm.name or number}", arm.settings
            for settings in arm.backbones.values():
                yield f"arms: {arm.name or number}", settings

    @model_validator(mode="after")
    def _named(self) -> "StudyConfig":
        for arm in self.arms:
            if arm.pretraining is not None and arm.pretraining not in self.pretraining:
                hint = nearest(arm.pretraining, self.pretraining)
                raise ValueError(f"arms: pretraining {arm.pretraining!r} is none of the study's{hint}")
        techniques: list[tuple[str, _Technique]] = [("arms", arm) for arm in self.arms]
        techniques += [(f"pretraining: {name}", start) for name, start in self.pretraining.items()]
        for place, technique in techniques:
            for name in technique.datasets or ():
                if name not in self.datasets:
                    raise ValueError(f"{place}: data set {name!r} is none of the study's{nearest(name, self.datasets)}")
        return self


def _given(data: DataConfig, *, leave: set[str] | None = None) -> Settings:
    return data.model_dump(mode="json", exclude_unset=True, exclude=leave)


def _dropped(contents: Settings, section: str) -> tuple[Settings, tuple[str, ...]]:
    """The contents without those of a section that are null, and their names."""
    named = contents.get(section)
    if not isinstance(named, dict):
        return dict(contents), ()
    kept = {name: one for name, one in named.items() if one is not None}
    return {**contents, section: kept}, tuple(name for name in named if name not in kept)


def _pretraining_of(arm: Any) -> Any:
    return arm.get("pretraining") if isinstance(arm, Mapping) else None


def _without(technique: Any, gone: Sequence[str]) -> Any:
    """An arm or pre-training without the data sets that are left out; None where it was for those alone."""
    named = technique.get("datasets") if isinstance(technique, Mapping) else None
    if not isinstance(named, list | str):
        return technique
    left = [name for name in ([named] if isinstance(named, str) else named) if name not in gone]
    return {**technique, "datasets": left} if left else None


def _different(amounts: Fractions) -> Fractions:
    """The amounts as they are, if they can be told apart."""
    try:
        known = [LabelAmount.parse(amount) for amount in amounts]
    except S4miError as error:
        raise ValueError(str(error)) from error
    if len(set(known)) < len(known):
        raise ValueError(f"{list(amounts)} names an amount twice; name each once")
    return amounts
