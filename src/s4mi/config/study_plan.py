"""Expand a study file into runs: which runs, in which order, with which settings.

The settings of a run are merged in this order, later ones taking precedence: the profile's data, settings, pretraining,
method and network; then the file's data set, settings, settings of the data set, network, arm, and network of the arm.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s4mi.config.known_networks import check_networks, network_key
from s4mi.config.layers import Settings, merged, name_of_method, stacked
from s4mi.config.methods import METHODS
from s4mi.config.profiles import load_profile
from s4mi.config.run import RunConfig, make_run_config
from s4mi.config.study import StudyConfig, StudyDataset
from s4mi.config.study_arms import Arm, PretrainingArm
from s4mi.config.study_defaults import external_settings, label_settings, split_settings
from s4mi.contract import MethodConfig
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.versions import annotated_tasks, first_annotated
from s4mi.errors import S4miError, nearest
from s4mi.formatting import folder_name
from s4mi.home import expanded
from s4mi.records import TaskKind


@dataclass(frozen=True)
class PlannedRun:
    """One run of a study.

    Attributes:
        name: run folder, relative to the folder of the study.
        needs: name of the run that must finish first, or None.
        arm: name of the arm, with its network if the arm has several; empty for pre-training.
    """

    name: str
    config: RunConfig
    needs: str | None = None
    arm: str = ""


def plan_study(study: StudyConfig, out: Path, *, origin: str = "study") -> Iterator[PlannedRun]:
    """Yield the runs of a study in folder `out`, each after the run it needs, and all runs of a seed before the next.

    Runs that are fitted to stored features come before all others, as they cost seconds. Pre-training that no arm
    starts from is left out; see `unneeded`.

    Raises:
        S4miError: settings of a run are invalid, or two runs have the same folder.
    """
    planned = _all_runs(study, out, origin=origin)
    cheap = [run for run in planned if run.config.method.fitted and run.needs is None]
    yield from cheap
    names = {run.name for run in cheap}
    yield from (run for run in planned if run.name not in names)


def _all_runs(study: StudyConfig, out: Path, *, origin: str) -> list[PlannedRun]:
    """The runs of a study, seed by seed."""
    seen: set[str] = set()
    found: list[PlannedRun] = []
    for seed in study.seeds:
        for name, dataset in study.sets.items():
            for run in _SeedPlan(study, name, dataset, seed=seed, out=out, origin=origin).runs():
                if run.name in seen:
                    folder = run.name.split("/")[-1]
                    if run.config.method.pretrains:
                        raise S4miError(f"{origin}: two pretraining entries share the folder {folder!r}; rename one")
                    raise S4miError(f"{origin}: two arms share the folder {folder!r}; set name: … for one of them")
                seen.add(run.name)
                found.append(run)
    return found


def unneeded(study: StudyConfig) -> list[str]:
    """Return the names of pre-training that no arm starts from."""
    wanted = {arm.pretraining for arm in study.arms}
    return [name for name in study.pretraining if name not in wanted]


@dataclass(frozen=True)
class _PretrainingRun:
    """A pre-training run: its name, and the entry of the file that defines it."""

    name: str
    start: PretrainingArm
    backbone: str | None


@dataclass(frozen=True)
class _SeedPlan:
    """The runs on one data set with one seed."""

    study: StudyConfig
    name: str
    dataset: StudyDataset
    seed: int
    out: Path
    origin: str

    def runs(self) -> Iterator[PlannedRun]:
        starts = {name: list(self._networks_of(name, start)) for name, start in self._starts().items()}
        pretraining = [
            PlannedRun(self._pretraining_folder(run.name), self._pretraining_config(name, run))
            for name, runs in starts.items()
            for run in runs
        ]
        arms = [
            run
            for arm in self.study.arms
            if self._includes(arm.datasets) and self.seed in (arm.seeds or self.study.seeds) and self._supports(arm)
            for run in self._arm(arm, starts.get(arm.pretraining or "", []))
        ]
        needed = {run.needs for run in arms}
        yield from (run for run in pretraining if run.name in needed)
        yield from arms

    def _includes(self, datasets: tuple[str, ...] | None) -> bool:
        return datasets is None or self.name in datasets

    def _supports(self, arm: Arm) -> bool:
        """Whether the data set has annotations for an arm; assumed unless the study skips arms without."""
        method = self._method_of(arm)
        if self.study.unsupported == "refuse" or method is None:
            return True
        tasks = annotated_tasks(expanded(self.dataset.path))
        return tasks is None or bool(method.tasks & tasks)

    def _starts(self) -> dict[str, PretrainingArm]:
        """Pre-training that may run on this data set, by name; without `datasets`, it goes where its arms go."""
        found = {}
        for name, start in self.study.pretraining.items():
            arms = [arm for arm in self.study.arms if arm.pretraining == name]
            if start.datasets is not None:
                if self.name in start.datasets:
                    found[name] = start
            elif not arms or any(self._includes(arm.datasets) for arm in arms):
                found[name] = start
        return found

    def _networks_of(self, name: str, start: PretrainingArm) -> Iterator[_PretrainingRun]:
        for backbone in self._backbones(start, place=f"pretraining {name!r}"):
            yield _PretrainingRun(name if backbone is None else f"{name}-{backbone}", start, backbone)

    def _pretraining_config(self, name: str, run: _PretrainingRun) -> RunConfig:
        # Pre-training reads no labels, so it stays on the first version when labels are merged into the data set.
        version = self.dataset.version or first_annotated(expanded(self.dataset.path))
        settings = {"data": {"version": version}, "task": self._task(name), **run.start.settings}
        place = f"pretraining {name!r}"
        config = self._config(run.start, settings, backbone=run.backbone, place=place)
        if not config.method.pretrains:
            raise S4miError(f"{self.origin}: {place}: {config.method.name!r} does not pre-train; make it an arm")
        return config

    def _arm(self, arm: Arm, starts: list[_PretrainingRun]) -> Iterator[PlannedRun]:
        label = arm.name or arm.pretraining or name_of_method(self._file_settings(arm))
        place = f"arm {label!r}" if label else "unnamed arm"
        if arm.pretraining is not None and not starts:
            raise S4miError(
                f"{self.origin}: {place}: pretraining {arm.pretraining!r} does not run on data set {self.name!r}; "
                "set the same datasets for both"
            )
        method = self._method_of(arm)
        without_labels = method is not None and method.unlabelled and not method.pretrains
        fractions = (100.0,) if without_labels else arm.label_fractions or self.study.label_fractions
        for backbone in self._backbones(arm, place=place):
            needs = self._needs(starts, backbone or self._network(arm), place=place)
            for fraction in fractions:
                settings = {**arm.settings, "label_fraction": fraction}
                if needs is not None:
                    settings = merged(settings, {"method": {"pretrained": str(self.out / needs)}})
                config = self._config(arm, settings, backbone=backbone, place=place)
                title = arm.name or config.method.technique(arm.pretraining)
                name = title if arm.name and backbone is None else f"{title}-{config.method.backbone_name}"
                amount = "0%" if without_labels else str(LabelAmount.parse(fraction)).replace(" ", "")
                version = f"-v{config.data.version}" if (config.data.version or 1) > 1 else ""
                folder = f"{folder_name(name)}-{folder_name(amount)}{version}-seed{self.seed}"
                yield PlannedRun(self._folder(f"runs/{folder}"), config, needs, folder_name(name))

    def _needs(self, starts: list[_PretrainingRun], network: str | None, *, place: str) -> str | None:
        """Folder of the pre-training run that an arm with this network starts from; None: it starts from none."""
        if not starts:
            return None
        if starts[0].backbone is None:
            return self._pretraining_folder(starts[0].name)
        for run in starts:
            if run.backbone == network:
                return self._pretraining_folder(run.name)
        known = [str(run.backbone) for run in starts]
        if network is None:
            raise S4miError(
                f"{self.origin}: {place}: has no single network that could start from a pre-training; remove "
                "pretraining from it"
            )
        raise S4miError(
            f"{self.origin}: {place}: its pretraining uses {', '.join(known)}, not {network!r}"
            f"{nearest(network or '', known) or '; set the same backbones for both'}"
        )

    def _pretraining_folder(self, name: str) -> str:
        return self._folder(f"pretraining/{folder_name(name)}-seed{self.seed}")

    def _folder(self, folder: str) -> str:
        return f"{folder_name(self.name)}/{folder}" if self.name else folder

    def _file_settings(self, technique: Arm | PretrainingArm) -> Settings:
        """Settings in the file for the runs of a technique, except those of its networks."""
        return stacked([self.study.settings, self.dataset.settings, technique.settings])

    def _method_of(self, technique: Arm | PretrainingArm) -> type[MethodConfig] | None:
        """Settings class of the technique's method, or None if the method is unknown."""
        return METHODS.get(name_of_method(self._file_settings(technique)))

    def _network(self, technique: Arm | PretrainingArm) -> str | None:
        """Network that the file or the profile names; None: the method's default, or it has several networks."""
        in_file, method = self._file_settings(technique), self._method_of(technique)
        key = network_key(method)
        if key is None:
            return None
        in_profile = load_profile(self.study.profile).methods.get(name_of_method(in_file), {})
        for settings in (in_file, in_profile):
            section = settings.get("method")
            if isinstance(section, dict) and key in section:
                return str(section[key])
        return None

    def _backbones(self, technique: Arm | PretrainingArm, *, place: str) -> list[str | None]:
        """Networks to run a technique with; [None]: the one that its settings or its method select."""
        method = self._method_of(technique)
        key = network_key(method)
        if technique.backbones:
            if method is not None and key is None:
                name = method.model_fields["name"].default
                raise S4miError(
                    f"{self.origin}: {place}: backbones: {name!r} has several networks; set them in method: instead"
                )
            return list(technique.backbones)
        by_default = method is not None and key == "backbone" and (method.pretrains or "multiclass" in method.tasks)
        if not by_default or self._network(technique) is not None:
            return [None]
        return list(self.study.backbones or load_profile(self.study.profile).backbones) or [None]

    def _config(self, technique: Arm | PretrainingArm, own: Settings, *, backbone: str | None, place: str) -> RunConfig:
        """Merge all layers of settings of a run; `own` is the layer of the technique.

        Raises:
            S4miError: a setting is unknown or invalid, or names a network that does not exist.
        """
        origin = f"{self.origin}: {place}"
        _check_keys(technique, origin=origin)
        profile, study = load_profile(self.study.profile), self.study
        name, method = name_of_method(self._file_settings(technique)), self._method_of(technique)
        network = backbone or self._network(technique) or ""
        key = network_key(method)
        defaults = [
            {"data": profile.data, "split": split_settings(study, self.dataset), "seed": self.seed},
            profile.settings,
            label_settings(study),
            external_settings(study, self.dataset, method),
            profile.pretraining if method is not None and method.pretrains else {},
            profile.methods.get(name, {}),
            profile.backbones.get(network, {}),
            {"data": self.dataset.explicit},
        ]
        in_file = [
            study.settings,
            self.dataset.settings,
            study.backbones.get(network, {}),
            own,
            technique.backbones.get(network, {}),
            {"method": {key: backbone}} if backbone is not None and key is not None else {},
        ]
        base = stacked(defaults)
        if isinstance(base.get("method"), dict):
            base["method"] = {"name": name, **base["method"]}
        config = make_run_config(merged(base, stacked(in_file)), origin=origin)
        check_networks(config.method, origin=origin)
        return config

    def _task(self, pretraining: str) -> TaskKind | None:
        """Segmentation if that is what all arms that start from this pre-training do: it must have their split."""
        arms = [arm for arm in self.study.arms if arm.pretraining == pretraining and self._includes(arm.datasets)]
        methods = [self._method_of(arm) for arm in arms]
        masks = bool(methods) and all(method is not None and method.tasks == {"segmentation"} for method in methods)
        return "segmentation" if masks else None


def _check_keys(technique: Arm | PretrainingArm, *, origin: str) -> None:
    """Raise if an unknown setting resembles a key of an arm, which validation of the run would not suggest."""
    keys = {*type(technique).model_fields} - {"settings"}
    for key in technique.settings:
        if key not in RunConfig.model_fields and (hint := nearest(key, keys)):
            raise S4miError(f"{origin}: unknown setting {key}{hint}")
