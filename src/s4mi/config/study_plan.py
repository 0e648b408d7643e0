"""What a study file comes to: which runs, in which order, with which settings.

The settings of a run are laid over each other, the later the stronger: the profile's data, settings, pretraining,
method and network; then the file's data set, settings, settings of the data set, network, arm, and network of the arm.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from s4mi.config.explain import explain
from s4mi.config.layers import Settings, merged, name_of_method, stacked
from s4mi.config.methods import METHODS
from s4mi.config.profiles import load_profile
from s4mi.config.run import RunConfig, make_run_config
from s4mi.config.study import Arm, PretrainingArm, StudyConfig, StudyDataset
from s4mi.config.yaml_file import apply_overrides, read_settings
from s4mi.contract import MethodConfig
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.versions import first_annotated
from s4mi.errors import S4miError, nearest
from s4mi.records import TaskKind

NETWORK = ("backbone", "encoder", "network")
"""The setting that names the network of a method that has one."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        name: its folder below that of the study. needs: the name of the run that must be finished first, or None.
        arm: what the arm that it is of is called, with its network if it has several; empty of pre-training.
    """

    name: str
    config: RunConfig
    needs: str | None = None
    arm: str = ""


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

    Pre-training that no arm starts from is not among them, see `unneeded`.

    Raises:
        S4miError: settings of a run that do not fit, or two arms of one name.
    """
    seen: set[str] = set()
    for seed in study.seeds:
        for name, dataset in study.sets.items():
            for run in _Table(study, name, dataset, seed=seed, out=out, origin=origin).runs():
                if run.name in seen:
                    what = run.name.split("/")[-1]
                    if run.config.method.pretrains:
                        what = what.removesuffix(f"-seed{seed}")
                        raise S4miError(
                            f"{origin}: pretraining {what!r} has the folder of another one; choose another name"
                        )
                    raise S4miError(f"{origin}: two arms are called {what!r}; give one a name: …")
                seen.add(run.name)
                yield run


def unneeded(study: StudyConfig) -> list[str]:
    """The names of the pre-training that no arm starts from."""
    wanted = {arm.pretraining for arm in study.arms}
    return [name for name in study.pretraining if name not in wanted]


@dataclass(frozen=True)
class _Started:
    """A pre-training run: its name, and the settings of the file that make it."""

    name: str
    start: PretrainingArm
    backbone: str | None


@dataclass(frozen=True)
class _Table:
    """The runs on one data set with one seed."""

    study: StudyConfig
    name: str
    dataset: StudyDataset
    seed: int
    out: Path
    origin: str

    def runs(self) -> Iterator[PlannedRun]:
        started = {name: list(self._started(name, start)) for name, start in self._starts().items()}
        first = [
            PlannedRun(self._pretraining(run.name), self._pretrain(name, run))
            for name, runs in started.items()
            for run in runs
        ]
        arms = [
            run
            for arm in self.study.arms
            if self._has(arm.datasets)
            for run in self._arm(arm, started.get(arm.pretraining or "", []))
        ]
        needed = {run.needs for run in arms}
        yield from (run for run in first if run.name in needed)
        yield from arms

    def _has(self, datasets: tuple[str, ...] | None) -> bool:
        return datasets is None or self.name in datasets

    def _starts(self) -> dict[str, PretrainingArm]:
        """Those that may be for this data set: as they say, else where an arm starts from them, else all."""
        found = {}
        for name, start in self.study.pretraining.items():
            arms = [arm for arm in self.study.arms if arm.pretraining == name]
            if start.datasets is not None:
                if self.name in start.datasets:
                    found[name] = start
            elif not arms or any(self._has(arm.datasets) for arm in arms):
                found[name] = start
        return found

    def _started(self, name: str, start: PretrainingArm) -> Iterator[_Started]:
        for backbone in self._backbones(start, place=f"pretraining {name!r}"):
            yield _Started(name if backbone is None else f"{name}-{backbone}", start, backbone)

    def _pretrain(self, name: str, run: _Started) -> RunConfig:
        # It reads no label: of a data set that has got more since, it stays with what its runs have begun with.
        version = self.dataset.version or first_annotated(self.dataset.path.expanduser())
        own = {"data": {"version": version}, "task": self._task(name), **run.start.settings}
        place = f"pretraining {name!r}"
        config = self._config(run.start, own, backbone=run.backbone, place=place)
        if not config.method.pretrains:
            raise S4miError(f"{self.origin}: {place}: {config.method.name!r} answers by itself; make it an arm")
        return config

    def _arm(self, arm: Arm, started: list[_Started]) -> Iterator[PlannedRun]:
        place = f"arm {arm.name or arm.pretraining or 'without a name'!r}"
        if arm.pretraining is not None and not started:
            raise S4miError(
                f"{self.origin}: {place}: pretraining {arm.pretraining!r} is not for data set {self.name!r}; "
                "give both the same datasets"
            )
        method = self._method_of(arm)
        without_labels = method is not None and method.unlabelled and not method.pretrains
        fractions = (100.0,) if without_labels else arm.label_fractions or self.study.label_fractions
        for backbone in self._backbones(arm, place=place):
            needs = self._needs(started, backbone or self._network(arm), place=place)
            for fraction in fractions:
                own = {**arm.settings, "label_fraction": fraction}
                if needs is not None:
                    own = merged(own, {"method": {"pretrained": str(self.out / needs)}})
                config = self._config(arm, own, backbone=backbone, place=place)
                title = arm.name or config.method.technique(arm.pretraining)
                name = title if arm.name and backbone is None else f"{title}-{config.method.backbone_name}"
                amount = "0%" if without_labels else str(LabelAmount.parse(fraction)).replace(" ", "")
                version = f"-v{config.data.version}" if (config.data.version or 1) > 1 else ""
                folder = f"{_file_name(name)}-{_file_name(amount)}{version}-seed{self.seed}"
                yield PlannedRun(self._inside(f"runs/{folder}"), config, needs, _file_name(name))

    def _needs(self, started: list[_Started], network: str | None, *, place: str) -> str | None:
        """The pre-training run of an arm: the one there is, or the one on its network."""
        if not started:
            return None
        if started[0].backbone is None:
            return self._pretraining(started[0].name)
        for run in started:
            if run.backbone == network:
                return self._pretraining(run.name)
        known = [str(run.backbone) for run in started]
        raise S4miError(
            f"{self.origin}: {place}: its pretraining is on {', '.join(known)}, not on {network!r}"
            f"{nearest(network or '', known) or '; give both the same backbones'}"
        )

    def _pretraining(self, name: str) -> str:
        return self._inside(f"pretraining/{_file_name(name)}-seed{self.seed}")

    def _inside(self, folder: str) -> str:
        return f"{_file_name(self.name)}/{folder}" if self.name else folder

    def _said(self, technique: Arm | PretrainingArm, own: Settings | None = None) -> Settings:
        """What the file says of a technique's runs, but for what it says of their networks."""
        said = technique.settings if own is None else own
        return stacked([self.study.settings, self.dataset.settings, said])

    def _method_of(self, technique: Arm | PretrainingArm) -> type[MethodConfig] | None:
        """The method of an arm, or None where it is not known."""
        return METHODS.get(name_of_method(self._said(technique)))

    def _network(self, technique: Arm | PretrainingArm) -> str | None:
        """The network that the file or the profile names; None: the method's own default, or it has several."""
        said, method = self._said(technique), self._method_of(technique)
        key = _network_key(method)
        if key is None:
            return None
        by_default = load_profile(self.study.profile).methods.get(name_of_method(said), {})
        for settings in (said, by_default):
            section = settings.get("method")
            if isinstance(section, dict) and key in section:
                return str(section[key])
        return None

    def _backbones(self, technique: Arm | PretrainingArm, *, place: str) -> list[str | None]:
        """The networks that a technique is run on; [None]: the one that its settings or its method name."""
        method = self._method_of(technique)
        key = _network_key(method)
        if technique.backbones:
            if method is not None and key is None:
                name = method.model_fields["name"].default
                raise S4miError(
                    f"{self.origin}: {place}: backbones: {name!r} has several networks; name them in its method instead"
                )
            return list(technique.backbones)
        many = method is not None and key == "backbone" and (method.pretrains or "multiclass" in method.tasks)
        if not many or self._network(technique) is not None:
            return [None]
        return list(self.study.backbones or load_profile(self.study.profile).backbones) or [None]

    def _config(self, technique: Arm | PretrainingArm, own: Settings, *, backbone: str | None, place: str) -> RunConfig:
        """The settings of a run, all layers of them.

        Raises:
            S4miError: they do not fit.
        """
        origin = f"{self.origin}: {place}"
        _check_keys(technique, origin=origin)
        profile, study = load_profile(self.study.profile), self.study
        name, method = name_of_method(self._said(technique)), self._method_of(technique)
        network = backbone or self._network(technique) or ""
        key = _network_key(method)
        split = self.dataset.split or study.split
        below = [
            {"data": profile.data, "split": split.model_dump(mode="json"), "seed": self.seed},
            profile.settings,
            profile.pretraining if method is not None and method.pretrains else {},
            profile.methods.get(name, {}),
            profile.backbones.get(network, {}),
            {"data": self.dataset.given},
        ]
        said = [
            study.settings,
            self.dataset.settings,
            study.backbones.get(network, {}),
            own,
            technique.backbones.get(network, {}),
            {"method": {key: backbone}} if backbone is not None and key is not None else {},
        ]
        base = stacked(below)
        if isinstance(base.get("method"), dict):
            base["method"] = {"name": name, **base["method"]}
        return make_run_config(merged(base, stacked(said)), origin=origin)

    def _task(self, pretraining: str) -> TaskKind | None:
        """Segmentation, where that is what all arms do that start from this pre-training: it shall have their split."""
        arms = [arm for arm in self.study.arms if arm.pretraining == pretraining and self._has(arm.datasets)]
        methods = [self._method_of(arm) for arm in arms]
        masks = bool(methods) and all(method is not None and method.tasks == {"segmentation"} for method in methods)
        return "segmentation" if masks else None


def _network_key(method: type[MethodConfig] | None) -> str | None:
    """The setting that names a method's network; None where it has several, or is not known."""
    return None if method is None else next((key for key in NETWORK if key in method.model_fields), None)


def _check_keys(technique: Arm | PretrainingArm, *, origin: str) -> None:
    """Name the nearest key also where it is one of an arm and not of a run."""
    own = {*type(technique).model_fields} - {"settings"}
    for key in technique.settings:
        if key not in RunConfig.model_fields and (hint := nearest(key, own)):
            raise S4miError(f"{origin}: {key} is no setting{hint}")


def _file_name(text: str) -> str:
    """As a folder may be called on any system."""
    kept = text.replace("%", "pct").replace(", ", "-").replace(" ", "-")
    spelled = "".join(letter if letter.isalnum() or letter in "-_.+" else "-" for letter in kept)
    return re.sub("-{2,}", "-", spelled).strip("-")
