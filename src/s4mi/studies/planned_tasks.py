"""The tasks of a study's plan, each with what its comparison can rest on: amounts of labels, seeds and test patients.

An amount of labels is a share, a number of images or a number of patients: 100 images are not 100 %. They are put in
order by the share of the labels that each roughly stands for, as the columns of a report are. Techniques that use no
labels have an amount of 0, whatever their settings say.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from s4mi.config import PlannedRun, RunConfig
from s4mi.contract import PretrainedConfig
from s4mi.data.manifest import Manifest
from s4mi.data.splits.label_amount import LabelAmount
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.maths.power import Spread
from s4mi.records import TaskKind
from s4mi.reporting.results.arms import shared_by_arms
from s4mi.reporting.results.comparison import Technique, compare
from s4mi.reporting.results.label_efficiency import FULL, SUPERVISED
from s4mi.reporting.results.runs import load_runs
from s4mi.reporting.results.scores import TASK_NAMES, metric_of
from s4mi.reporting.results.spreads import measured_spread
from s4mi.reporting.results.technique_names import ARM
from s4mi.studies.run_id import starts_of
from s4mi.studies.status import RunStatus, StudyStatus
from s4mi.training.run_task import budget_of, task_kind

ASSUMED: Final = Spread(seeds=0.02, patients=0.12, single=0.08)
"""Of the difference of two techniques in macro F1 or IoU, where nothing is measured yet."""
NO_LABELS: Final = LabelAmount(0.0)


@dataclass(frozen=True)
class PlannedTask:
    """The runs of a plan on one task of one data set.

    Attributes:
        techniques: of each run, as reports name them, with the names of arms that share one.
        test_patients: expected number of test patients, or images where patients are unknown; 0 if it is unknown.
        one_test_set: whether all seeds are tested on the same ones.
        images, patients: expected number of annotated images that 100 % of the labels stand for, and of their patients.
        measured: number of pairs and label fractions that `spread` was measured on; 0 where it is assumed.
    """

    title: str
    task: TaskKind
    runs: tuple[RunStatus, ...]
    techniques: tuple[Technique, ...]
    test_patients: int
    unit: str
    one_test_set: bool
    images: float
    patients: float
    spread: Spread = ASSUMED
    measured: int = 0

    @cached_property
    def cells(self) -> dict[tuple[Technique, LabelAmount], set[int]]:
        """Seeds by technique and amount of labels."""
        cells: dict[tuple[Technique, LabelAmount], set[int]] = {}
        for run, technique in zip(self.runs, self.techniques, strict=True):
            cells.setdefault((technique, amount_of(run.planned.config)), set()).add(run.planned.config.seed)
        return cells

    @cached_property
    def amounts(self) -> tuple[LabelAmount, ...]:
        """Amounts of labels, without none, fewest labels first; 100 % comes last."""
        amounts = {amount for _, amount in self.cells if amount != NO_LABELS}
        return tuple(sorted(amounts, key=lambda one: (self.share(one), one.unit == "percent", str(one))))

    @property
    def points(self) -> int:
        """The most amounts of labels of one technique, which its learning curve has as points."""
        counts = Counter(technique for technique, amount in self.cells if amount != NO_LABELS)
        return max(counts.values(), default=0)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for seeds in self.cells.values() for seed in seeds}))

    @cached_property
    def pairs(self) -> tuple[int, ...]:
        """Number of common seeds of each pair that the report will test: without labels, and with fewest and most."""
        counts = []
        for amount in {NO_LABELS, *self.amounts[:1], *self.amounts[-1:]}:
            known = [seeds for (_, at), seeds in self.cells.items() if at == amount]
            counts += [len(one & other) for one, other in itertools.combinations(known, 2)]
        return tuple(count for count in counts if count > 1)

    @property
    def supervised(self) -> bool:
        """Whether any technique learns from labels alone, and so can be full supervision."""
        return any(_supervised(run.planned.config) for run in self.runs)

    @property
    def full_supervision(self) -> bool:
        """Whether such a technique is planned with all labels."""
        configs = [run.planned.config for run in self.runs]
        return any(_supervised(config) and config.amount == LabelAmount(FULL) for config in configs)

    def share(self, amount: LabelAmount) -> float:
        """Percentage of the labels that an amount roughly stands for; 0 for those of a saved split, which is unread."""
        whole = {"percent": 100.0, "images": self.images, "patients": self.patients}.get(amount.unit, 0.0)
        return min(100.0, 100 * amount.value / whole) if whole else 0.0


def amount_of(config: RunConfig) -> LabelAmount:
    """The amount of labels that a report will name: none for a method that uses none."""
    return NO_LABELS if config.method.unlabelled else config.amount


def planned_tasks(status: StudyStatus, out: Path | None) -> list[PlannedTask]:
    """The tasks of a plan, in its order, those of each version of a data set; missing data sets are left out.

    Args:
        out: folder of the study; spreads are measured in its finished runs.
    """
    manifests: dict[tuple[Path, int | None], Manifest | None] = {}
    groups: dict[tuple[Path, int, TaskKind], tuple[Manifest, list[RunStatus]]] = {}
    starts = starts_of([run.planned for run in status.runs])
    for run in status.runs:
        config = run.planned.config
        if config.method.pretrains:
            continue
        key = config.data.path, config.data.version
        if key not in manifests:
            manifests[key] = _manifest(run.planned)
        manifest = manifests[key]
        if manifest is None:
            continue
        try:
            kind = task_kind(config, manifest.spec)
        except S4miError:
            continue
        groups.setdefault((config.data.path, manifest.version, kind), (manifest, []))[1].append(run)
    measured = _measured(out)
    return [_task(runs, manifest, kind, measured, starts) for (_, _, kind), (manifest, runs) in groups.items()]


def _task(
    runs: Sequence[RunStatus],
    manifest: Manifest,
    kind: TaskKind,
    measured: Mapping[tuple[str, TaskKind], tuple[Spread, int]],
    starts: Mapping[str, RunConfig],
) -> PlannedTask:
    config = runs[0].planned.config
    tested, unit = _test_patients(manifest, config, kind)
    labelled = next((run.planned.config for run in runs if not run.planned.config.method.unlabelled), config)
    images, patients = _labels(manifest, labelled, kind)
    title = f"{manifest.title}, {TASK_NAMES[kind]}"
    one_test_set = _one_test_set(config, manifest)
    techniques = tuple(_techniques([run.planned for run in runs], starts))
    planned = PlannedTask(title, kind, tuple(runs), techniques, tested, unit, one_test_set, images, patients)
    found = measured.get((manifest.title, kind))
    return planned if found is None else replace(planned, spread=found[0], measured=found[1])


def _techniques(runs: Sequence[PlannedRun], starts: Mapping[str, RunConfig]) -> Iterator[Technique]:
    """The technique of each run as a report will name it; see `reporting.results.arms`."""
    own = [_technique(run, starts) for run in runs]
    shared = shared_by_arms(
        (technique, (amount_of(run.config), run.config.seed), run.arm) for run, technique in zip(runs, own, strict=True)
    )
    for run, technique in zip(runs, own, strict=True):
        yield replace(technique, method=f"{technique.method}{ARM}{run.arm}") if technique in shared else technique


def _technique(planned: PlannedRun, starts: Mapping[str, RunConfig]) -> Technique:
    """The technique of a planned run, as its record will name it."""
    method, start = planned.config.method, starts.get(planned.name)
    return Technique(method.technique(None if start is None else start.method.name), method.backbone_name)


def _manifest(planned: PlannedRun) -> Manifest | None:
    try:
        return load_version(planned.config.data.path, planned.config.data.version)
    except S4miError:
        return None


def _measured(out: Path | None) -> dict[tuple[str, TaskKind], tuple[Spread, int]]:
    """Spreads in the finished runs of a study, by data set and task."""
    if out is None or not out.is_dir():
        return {}
    runs, _ = load_runs(out)
    found = {
        (one.dataset, one.task): measured_spread(one, metric_of(one.task), runs)
        for one in compare([run.record for run in runs])
    }
    return {key: spread for key, spread in found.items() if spread is not None}


def _test_patients(manifest: Manifest, config: RunConfig, kind: TaskKind) -> tuple[int, str]:
    """Expected number of test patients, by the shares of the split, and what they are."""
    rows = [row for row in manifest.rows if row.annotated(kind)]
    unit = "patients" if any(row.group for row in rows) else "images"
    if config.split.kind == "file":
        return 0, unit
    share = _test_share(config)
    if _official(config, manifest):
        rows, share = [row for row in rows if row.split == "test"], 1.0
    return round(share * len({row.group or row.id for row in rows})), unit


def _labels(manifest: Manifest, config: RunConfig, kind: TaskKind) -> tuple[float, float]:
    """Expected number of annotated images that 100 % of the labels stand for, and of their patients.

    Those outside the test part if validation counts, and else those of training; with a saved split, all there are.
    """
    rows = [row for row in manifest.rows if row.annotated(kind)]
    split, counted = config.split, budget_of(config) is not None
    if split.kind == "file":
        share = 1.0
    elif _official(config, manifest):
        validation = not counted and any(row.split == "val" for row in rows)
        rows = [row for row in rows if row.split != "test" and not (validation and row.split == "val")]
        share = 1.0
    else:
        of_validation = 1 / split.folds if split.kind == "kfold" else split.ratios[1]
        share = 1 - _test_share(config) - (0.0 if counted else of_validation)
    return share * len(rows), share * len({row.group or row.id for row in rows})


def _test_share(config: RunConfig) -> float:
    return 1 / config.split.folds if config.split.kind == "kfold" else config.split.ratios[2]


def _official(config: RunConfig, manifest: Manifest) -> bool:
    """Whether the manifest says which images are tested."""
    return config.split.kind == "official" or (config.split.kind == "auto" and bool(manifest.official))


def _one_test_set(config: RunConfig, manifest: Manifest) -> bool:
    """Whether the test part does not change with the seed of a run."""
    split = config.split
    return split.kind == "file" or _official(config, manifest) or split.seed is not None or split.test_seed is not None


def _supervised(config: RunConfig) -> bool:
    """Whether a run learns from labels alone, without pre-training on unlabelled images; see `label_efficiency`."""
    pretrained = isinstance(config.method, PretrainedConfig) and config.method.pretrained is not None
    return config.method.name in SUPERVISED and not pretrained
