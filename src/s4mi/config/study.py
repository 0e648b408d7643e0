"""A study: techniques compared on one or several data sets, at several label fractions and seeds.

    profile: paper                                    defaults of all runs; settings below override them
    data: {path: …}                                   or datasets: {lesions: {path: …}, cells: {path: …}}
    backbones: [resnet50, vit_base_patch16_224]       each classifier and its pre-training uses both
    label_fractions: [10, 100]
    seeds: [0, 1, 2]
    budget: 12 h
    settings: {select: f1_macro}                      settings of all runs
    pretraining:
      dino: dino
      cass: {method: {name: cass, variance_weight: 1}, epochs: 100}
    arms:
      - finetune
      - {method: finetune, pretraining: dino}         each backbone starts from the DINO run with that backbone
      - {method: finetune, pretraining: cass}

Pre-training that an arm starts from runs once per seed and is shared by all label fractions. A technique that learns
without labels has one run per seed, at 0 %, whatever the fractions. When labels are merged into the data set, the arms
get new runs on the new version, beside those on the old one; pre-training, which reads no labels, is not repeated.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from s4mi.config.duration import parse_duration
from s4mi.config.external_tests import Tests
from s4mi.config.labels import LabelsConfig
from s4mi.config.layers import Settings, name_of_method, stacked
from s4mi.config.profiles import ByNetwork, ProfileName
from s4mi.config.sections import DataConfig, Section, SplitConfig
from s4mi.config.study_arms import Arm, Fractions, PretrainingArm, Technique, unique
from s4mi.errors import nearest
from s4mi.formatting import folder_name
from s4mi.records import SelectionRule


class StudyDataset(DataConfig):
    """One of several data sets: `data` of a run file, plus settings for the runs on it."""

    split: SplitConfig | None = Field(None, description="Split of this data set (default: the split of the study)")
    tests: Tests | None = Field(
        None, description="External test sets of the runs on this data set (default: those of the study)"
    )
    settings: Settings = Field({}, description="Settings of the runs on this data set, as in a run file")

    @property
    def explicit(self) -> Settings:
        """The settings of `data` that the study file sets explicitly."""
        return _explicit(self, exclude={"split", "tests", "settings"})


class StudyConfig(Section):
    """A comparison of techniques."""

    profile: ProfileName | None = Field(
        None, description="Named defaults of all runs, which other settings of the file override (default: no profile)"
    )
    data: DataConfig | None = Field(None, description="The data set, as in a run file; for several, use datasets")
    datasets: dict[str, StudyDataset] = Field(
        {},
        description="Several data sets by name, instead of data: each has the keys of data in a run file and its own "
        "split and settings; null skips it",
    )
    split: SplitConfig = Field(SplitConfig(), description="Division into training, validation and test set")
    resample: Literal["validation", "test"] = Field(
        "validation",
        description="What differs between seeds besides training and the labels that are drawn; validation: the "
        "validation part, so that all seeds are tested on the same images; test: the test part too",
    )
    labels: LabelsConfig | None = Field(
        None,
        description="Which labels count as those of a run (default: those of the profile; small and strong count "
        "validation labels, paper does not)",
    )
    selection: SelectionRule | None = Field(
        None,
        description="How epoch, ensemble member, temperature and thresholds are chosen (default: that of the profile; "
        "cross_validation with small and strong, validation with paper)",
    )
    tests: Tests = Field(
        {}, description="External test sets by name, each with its path; every run is scored on them too"
    )
    label_fractions: Fractions = Field(
        (10.0, 100.0), min_length=1, description="Amounts of labels to compare, each as label_fraction in a run file"
    )
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="Seeds to repeat the comparison with")
    budget: str | None = Field(
        None,
        description="Time limit for all runs together, e.g. '2 h'; if it is short, seeds are left out first, then "
        "label fractions, never a technique (default: no limit)",
    )
    settings: Settings = Field({}, description="Settings of all runs, as in a run file")
    backbones: ByNetwork = Field(
        {},
        description="Networks for classification and its pre-training where no other setting names one: a list, or a "
        "mapping from network to settings of the runs with it (default: those of the profile)",
    )
    pretraining: dict[str, PretrainingArm] = Field(
        {},
        description="Pre-training without labels by name, each with settings as in a run file, backbones and datasets; "
        "null skips it and the arms that start from it",
    )
    arms: tuple[Arm, ...] = Field(min_length=1, description="Techniques to compare")
    unsupported: Literal["refuse", "skip"] = Field(
        "refuse",
        description="What to do with an arm whose method needs annotations that a data set does not have, and with a "
        "label fraction that leaves a class without labels: refuse the study, or skip these runs",
    )

    @property
    def seconds(self) -> float | None:
        """`budget` in seconds."""
        return None if self.budget is None else parse_duration(self.budget)

    @property
    def sets(self) -> dict[str, StudyDataset]:
        """The data sets by name; a single data set has an empty name, since its runs need no folder of their own."""
        if self.data is None:
            return self.datasets
        return {"": StudyDataset.model_validate(_explicit(self.data))}

    @model_validator(mode="before")
    @classmethod
    def _drop_skipped(cls, contents: Any) -> Any:
        """Drop data sets and pre-training set to null, and the arms that depend on them.

        `datasets.cells=null` removes the data set also from arms that list it; `pretraining.x=null` removes all arms
        that start from it.
        """
        if not isinstance(contents, dict):
            return contents
        result, starts = _without_null(contents, "pretraining")
        result, sets = _without_null(result, "datasets")
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
    def _valid_budget(cls, value: Any) -> Any:
        if value is not None:
            parse_duration(value)
        return value

    @field_validator("label_fractions")
    @classmethod
    def _unique_fractions(cls, fractions: Fractions) -> Fractions:
        return unique(fractions)

    @field_validator("seeds")
    @classmethod
    def _unique_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("must be distinct integers of at least 0")
        return seeds

    @model_validator(mode="after")
    def _data_or_datasets(self) -> "StudyConfig":
        if self.data is None and not self.datasets:
            raise ValueError("data is missing; name a data set with data: {path: …}, or several with datasets:")
        if self.data is not None and self.datasets:
            raise ValueError("data and datasets are both set; keep one of the two")
        return self

    @field_validator("datasets")
    @classmethod
    def _named_folders(cls, datasets: dict[str, StudyDataset]) -> dict[str, StudyDataset]:
        """Refuse names that are no folders of the study, or the same folder."""
        folders: dict[str, str] = {}
        for name in datasets:
            folder = folder_name(name)
            if not folder.strip("."):
                raise ValueError(f"{name!r} is not a valid name of a data set; use letters and digits")
            if folder in folders:
                raise ValueError(f"{folders[folder]!r} and {name!r} share the folder {folder!r}; rename one")
            folders[folder] = name
        return datasets

    @model_validator(mode="after")
    def _no_varied_settings(self) -> "StudyConfig":
        """Refuse settings of runs that the study itself varies."""
        for place, settings in self._settings_by_place():
            for key, plural in (("label_fraction", "label_fractions"), ("seed", "seeds")):
                if key in settings:
                    owner = " of the arm" if key == "label_fraction" and place.startswith("arms") else " of the study"
                    raise ValueError(f"{place}: {key} cannot be set for runs of a study; set {plural}{owner}")
        for name, start in self.pretraining.items():
            if "seed" in start.settings:
                raise ValueError(f"pretraining: {name}: seed cannot be set for runs of a study; set seeds of the study")
        return self

    def _settings_by_place(self) -> Iterator[tuple[str, Settings]]:
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
    def _different_names(self) -> "StudyConfig":
        """Refuse one name for two techniques, which would look like one on its data sets."""
        for number, arm in enumerate(self.arms):
            for other in self.arms[:number]:
                shared = arm.datasets is None or other.datasets is None or {*arm.datasets} & {*other.datasets}
                methods = {name_of_method(stacked([self.settings, one.settings])) for one in (arm, other)}
                if arm.name and arm.name == other.name and shared and len(methods) > 1:
                    raise ValueError(f"arms: two are named {arm.name!r} ({', '.join(sorted(methods))}); rename one")
        return self

    @model_validator(mode="after")
    def _known_names(self) -> "StudyConfig":
        """Refuse names of pre-training and data sets that the study does not define."""
        for arm in self.arms:
            if others := [seed for seed in arm.seeds or () if seed not in self.seeds]:
                raise ValueError(
                    f"arms: {arm.name}: seed {others[0]} is not among the seeds of the study; add it there, or "
                    "remove it here"
                )
            if arm.pretraining is not None and arm.pretraining not in self.pretraining:
                hint = nearest(arm.pretraining, self.pretraining) or "; define it in pretraining:"
                raise ValueError(f"arms: unknown pretraining {arm.pretraining!r}{hint}")
        techniques: list[tuple[str, Technique]] = [("arms", arm) for arm in self.arms]
        techniques += [(f"pretraining: {name}", start) for name, start in self.pretraining.items()]
        for place, technique in techniques:
            for name in technique.datasets or ():
                if name not in self.datasets:
                    hint = nearest(name, self.datasets) or "; define it in datasets:"
                    raise ValueError(f"{place}: unknown data set {name!r}{hint}")
        return self


def _explicit(data: DataConfig, *, exclude: set[str] | None = None) -> Settings:
    return data.model_dump(mode="json", exclude_unset=True, exclude=exclude)


def _without_null(contents: Settings, section: str) -> tuple[Settings, tuple[str, ...]]:
    """Return the contents without the null entries of a section, and the names of those."""
    named = contents.get(section)
    if not isinstance(named, dict):
        return dict(contents), ()
    kept = {name: entry for name, entry in named.items() if entry is not None}
    return {**contents, section: kept}, tuple(name for name in named if name not in kept)


def _pretraining_of(arm: Any) -> Any:
    return arm.get("pretraining") if isinstance(arm, Mapping) else None


def _without(technique: Any, skipped: Sequence[str]) -> Any:
    """Return an arm or pre-training without skipped data sets, or None if no other data set is left."""
    named = technique.get("datasets") if isinstance(technique, Mapping) else None
    if not isinstance(named, list | str):
        return technique
    kept = [name for name in ([named] if isinstance(named, str) else named) if name not in skipped]
    return {**technique, "datasets": kept} if kept else None
