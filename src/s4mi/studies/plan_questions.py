"""Which questions the plan of a study can answer, and how surely, before anything is trained.

difference      the smallest that two techniques' seeds and test patients tell at 80 % power, after correction for all
                pairs; from the spreads of finished runs of the same study, or from assumed ones, which are named
labels needed   whether there are enough label fractions and seeds, and full supervision to compare with
more            what more seeds would tell, and what they would cost
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from s4mi.config import PlannedRun, RunConfig
from s4mi.data.manifest import Manifest
from s4mi.data.versions import load_version
from s4mi.errors import S4miError
from s4mi.formatting import duration, plural
from s4mi.maths.crossed import FEW_SEEDS
from s4mi.maths.label_efficiency import FEWEST_SEEDS
from s4mi.maths.learning_curve import FEWEST_POINTS
from s4mi.maths.power import USUAL, Design, Spread, smallest_difference
from s4mi.records import TaskKind
from s4mi.reporting.results.comparison import compare
from s4mi.reporting.results.label_efficiency import FULL, SUPERVISED
from s4mi.reporting.results.label_hints import MOST_SEEDS, enough_fractions, fractions_setting, seeds_setting
from s4mi.reporting.results.runs import load_runs
from s4mi.reporting.results.scores import TASK_NAMES, metric_of
from s4mi.reporting.results.spreads import measured_spread
from s4mi.studies.status import RunStatus, StudyStatus
from s4mi.training.run_task import task_kind

ASSUMED: Final = Spread(seeds=0.02, patients=0.12, single=0.08)
"""Of the difference of two techniques in macro F1 or IoU, where nothing is measured yet."""
ENDLESS: Final = 1000
"""So many seeds that more hardly change what can be told."""
TELLING: Final = 0.10
"""A smallest difference above this is called so: a comparison seldom has differences as large."""


@dataclass(frozen=True)
class PlannedTask:
    """The runs of a plan on one task of one data set.

    Attributes:
        test_patients: expected number of test patients, or images where patients are unknown; 0 if it is unknown.
        one_test_set: whether all seeds are tested on the same ones.
        measured: number of pairs and label fractions that `spread` was measured on; 0 where it is assumed.
    """

    title: str
    task: TaskKind
    runs: tuple[RunStatus, ...]
    test_patients: int
    unit: str
    one_test_set: bool
    spread: Spread = ASSUMED
    measured: int = 0

    @property
    def cells(self) -> dict[tuple[str, float], set[int]]:
        """Seeds by arm and label fraction."""
        cells: dict[tuple[str, float], set[int]] = {}
        for run in self.runs:
            key = (run.planned.arm, run.planned.config.amount.value)
            cells.setdefault(key, set()).add(run.planned.config.seed)
        return cells

    @property
    def fractions(self) -> tuple[float, ...]:
        """Amounts of labels above 0, smallest first."""
        return tuple(sorted({fraction for _, fraction in self.cells if fraction > 0}))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for seeds in self.cells.values() for seed in seeds}))

    @property
    def pairs(self) -> tuple[int, ...]:
        """Number of common seeds of each pair that the report will test: at its smallest and largest label fraction."""
        counts = []
        for fraction in {self.fractions[0], self.fractions[-1]} if self.fractions else ():
            known = [seeds for (_, at), seeds in self.cells.items() if at == fraction]
            counts += [len(one & other) for one, other in itertools.combinations(known, 2)]
        return tuple(count for count in counts if count > 1)


def questions(status: StudyStatus, out: Path | None) -> list[str]:
    """Lines on each task of each data set that can be found; none for a plan of a single run.

    Args:
        out: folder of the study; spreads are measured in its finished runs.
    """
    lines = []
    for one in planned_tasks(status, out):
        if len(one.runs) > 1:
            lines += [f"{one.title}:", *(f"  {line}" for line in _answers(one))]
    return lines


def planned_tasks(status: StudyStatus, out: Path | None) -> list[PlannedTask]:
    """The tasks of a plan, in its order; data sets that do not exist are left out."""
    manifests: dict[Path, Manifest | None] = {}
    groups: dict[tuple[Path, TaskKind], list[RunStatus]] = {}
    for run in status.runs:
        config = run.planned.config
        if config.method.pretrains:
            continue
        path = config.data.path
        if path not in manifests:
            manifests[path] = _manifest(run.planned)
        manifest = manifests[path]
        if manifest is None:
            continue
        try:
            groups.setdefault((path, task_kind(config, manifest.spec)), []).append(run)
        except S4miError:
            continue
    measured = _measured(out)
    return [
        _task(runs, manifest, kind, measured)
        for (path, kind), runs in groups.items()
        if (manifest := manifests[path]) is not None
    ]


def _task(
    runs: Sequence[RunStatus],
    manifest: Manifest,
    kind: TaskKind,
    measured: Mapping[tuple[str, TaskKind], tuple[Spread, int]],
) -> PlannedTask:
    config = runs[0].planned.config
    patients, unit = _test_patients(manifest, config, kind)
    title = f"{manifest.spec.name}, {TASK_NAMES[kind]}"
    planned = PlannedTask(title, kind, tuple(runs), patients, unit, _one_test_set(config, manifest))
    found = measured.get((manifest.title, kind))
    return planned if found is None else replace(planned, spread=found[0], measured=found[1])


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
    split = config.split
    share = 1 / split.folds if split.kind == "kfold" else split.ratios[2]
    if split.kind == "file":
        return 0, unit
    if split.kind == "official" or (split.kind == "auto" and manifest.official):
        rows, share = [row for row in rows if row.split == "test"], 1.0
    return round(share * len({row.group or row.id for row in rows})), unit


def _one_test_set(config: RunConfig, manifest: Manifest) -> bool:
    """Whether the test part does not change with the seed of a run."""
    split = config.split
    if split.kind in ("official", "file") or (split.kind == "auto" and manifest.official) or split.seed is not None:
        return True
    return split.model_dump().get("test_seed") is not None


def _answers(one: PlannedTask) -> Iterator[str]:
    test = (
        f"about {one.test_patients} test {one.unit}" if one.test_patients else f"an unknown number of test {one.unit}"
    )
    shared = "the same for all seeds" if one.one_test_set else "others with every seed"
    arms = len({arm for arm, _ in one.cells})
    counts = (
        plural(arms, "technique"),
        f"{plural(len(one.fractions), 'amount')} of labels",
        plural(len(one.seeds), "seed"),
    )
    yield f"{', '.join(counts)}; {test}, {shared}"
    yield _difference(one)
    yield from _labels(one)
    if (more := _more(one)) is not None:
        yield more


def _difference(one: PlannedTask) -> str:
    """The smallest difference that the plan can tell."""
    if not one.pairs:
        return (
            "difference of two techniques: cannot be tested, no two share two seeds at the smallest or largest amount"
        )
    if not one.test_patients:
        return "difference of two techniques: not known beforehand with a saved split"
    label = metric_of(one.task).label
    told = ", ".join(
        f"{_told(_smallest(one, count), label)} with {plural(count, 'seed')}" for count in sorted(set(one.pairs))
    )
    tests = plural(len(one.pairs), "test")
    return f"smallest difference detected at {100 * USUAL:.0f} % power, corrected for {tests}: {told} ({_source(one)})"


def _smallest(one: PlannedTask, seeds: int) -> float:
    return smallest_difference(one.spread, Design(seeds, one.test_patients, len(one.pairs), one.one_test_set))


def _told(difference: float, label: str) -> str:
    if math.isinf(difference):
        return "none"
    return f"{label} {difference:.3f}" + (", a large difference" if difference > TELLING else "")


def _source(one: PlannedTask) -> str:
    spread = one.spread
    origin = f"measured in {plural(one.measured, 'pair')} of finished runs" if one.measured else "assumed"
    return (
        f"standard deviations of a difference, {origin}: {spread.seeds:.3f} over seeds, {spread.patients:.3f} over "
        f"{one.unit}, {spread.single:.3f} in single results"
    )


def _labels(one: PlannedTask) -> Iterator[str]:
    """Whether the report can tell the labels needed."""
    if any(run.planned.config.amount.unit != "percent" for run in one.runs):
        yield "labels needed: full supervision is not planned; they are estimated for the best mean reached"
        return
    seeds = min((len(mine) for (_, at), mine in one.cells.items() if at > 0), default=0)
    problems = []
    if len(one.fractions) < FEWEST_POINTS:
        wanted = fractions_setting(enough_fractions(one.fractions))
        problems.append(f"{plural(len(one.fractions), 'label fraction')}, needs {FEWEST_POINTS}: {wanted}")
    if seeds < FEWEST_SEEDS:
        wanted = seeds_setting(one.seeds, FEW_SEEDS)
        problems.append(f"{plural(seeds, 'seed')}, needs {FEWEST_SEEDS}: {wanted}")
    if problems:
        yield f"labels needed: not estimable beyond what is tested ({'; '.join(problems)})"
    else:
        few = f", with wide intervals ({seeds} seeds are few)" if seeds < FEW_SEEDS else ""
        yield f"labels needed: can be estimated, up to 4 × the largest amount{few}"
    full = any(
        at == FULL and run.planned.config.method.name in SUPERVISED
        for run in one.runs
        for at in [run.planned.config.amount.value]
    )
    if not full:
        wanted = fractions_setting([*one.fractions, FULL])
        yield f"full supervision: not tested; the target is the best mean reached instead ({wanted} tests it)"


def _more(one: PlannedTask) -> str | None:
    """What twice as many seeds would tell and cost; None where nothing is known or they are many."""
    if not one.pairs or not one.test_patients or len(one.seeds) >= MOST_SEEDS:
        return None
    count = min(MOST_SEEDS, max(FEW_SEEDS, 2 * len(one.seeds)))
    setting = seeds_setting(one.seeds, count)
    runs = (count - len(one.seeds)) * len(one.cells)
    seconds = [run.state.record.cost.seconds if run.state.record else run.seconds_left for run in one.runs]
    known = [value for value in seconds if value is not None]
    cost = f", about {duration(runs * sum(known) / len(known))} one after the other" if known else ""
    label, told = metric_of(one.task).label, _smallest(one, count)
    # The approximation of the degrees of freedom is not monotone: with few test patients more seeds may tell less.
    now, least = min(_smallest(one, mine) for mine in one.pairs), _smallest(one, ENDLESS)
    if told >= now < math.inf:
        return f"more seeds: detect no smaller difference with these test {one.unit}; more test {one.unit} would"
    if told < least:
        least = min(_smallest(one, seeds) for seeds in range(2, MOST_SEEDS + 1))
    difference, limit = _told(told, label), _told(least, "")
    endless = f"; no number of seeds detects less than{limit} with these test {one.unit}" if one.one_test_set else ""
    return f"with {setting}: {difference}, {plural(runs, 'more run')}{cost}{endless}"
